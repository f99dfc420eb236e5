"""Moving a running server to a release, and back if a worker cannot take it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError, ReleaseError
from .pointer import Move, Pointer
from .record import Release
from .store import verify_artifact
from .worker_state import WorkerState, live_workers, worker_counts

OnWorkers = Callable[[list[WorkerState]], None]


@dataclass(frozen=True, slots=True)
class PromotionResult:
    """What a promotion did: the move, and every worker's state after it."""

    move: Move
    workers: tuple[WorkerState, ...]


def promote(
    pointer: Pointer,
    release: Release,
    folder: Path,
    *,
    timeout_s: float = 60.0,
    on_workers: OnWorkers = lambda states: None,
) -> PromotionResult:
    """Make a release active, and wait until every live worker serves it.

    Raises:
        InputError: the release needs another number of workers than the server has.
        ReleaseError: it is damaged, or a worker could not take it; the pointer then stands where it stood.
    """
    verify_artifact(release, folder)
    _check_worker_count(pointer, release)
    before = pointer.read()
    move = pointer.move(release.name, folder, "promote")
    return _settle(pointer, move, before, timeout_s, on_workers)


def rollback(
    pointer: Pointer, *, timeout_s: float = 60.0, on_workers: OnWorkers = lambda states: None
) -> PromotionResult:
    """Go back to what was active before the present release: an earlier one, or the service's own model.

    Raises:
        InputError: there is nothing to go back to.
    """
    current = pointer.read()
    if current.release is None:
        raise InputError("The service runs its own model: there is no release to roll back.")
    earlier = [move for move in pointer.journal() if move.sequence < current.sequence]
    target = next((move for move in reversed(earlier) if move.release != current.release), None)
    release, folder = (target.release, target.folder) if target is not None else (None, None)
    move = pointer.move(release, Path(folder) if folder is not None else None, "rollback")
    return _settle(pointer, move, current, timeout_s, on_workers)


def _check_worker_count(pointer: Pointer, release: Release) -> None:
    if release.workers is None:
        return
    for count in worker_counts(pointer.folder).values():
        if count != release.workers:
            raise InputError(
                f"Release {release.name} was measured with {release.workers} worker(s), the running server has {count}:"
                f" restart it with bento-monitor serve TARGET --workers {release.workers}, then promote."
            )


def _settle(pointer: Pointer, move: Move, before: Move, timeout_s: float, on_workers: OnWorkers) -> PromotionResult:
    deadline_s = time.monotonic() + timeout_s
    while True:
        states = live_workers(pointer.folder)
        on_workers(states)
        failed = [state for state in states if state.sequence == move.sequence and state.phase == "failed"]
        if failed:
            _go_back(pointer, before)
            raise ReleaseError(f"Worker {failed[0].pid} could not take {move.release}: {failed[0].error} Moved back.")
        if all(state.sequence >= move.sequence and state.phase == "serving" for state in states):
            return PromotionResult(move, tuple(states))
        if time.monotonic() > deadline_s:
            _go_back(pointer, before)
            raise ReleaseError(f"Not every worker took {move.release} within {timeout_s:.0f} s. Moved back.")
        time.sleep(0.05)


def _go_back(pointer: Pointer, before: Move) -> None:
    folder = Path(before.folder) if before.folder is not None else None
    pointer.move(before.release, folder, "automatic rollback")
