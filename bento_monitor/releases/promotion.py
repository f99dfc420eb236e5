"""Moving a running server to a release or back, and waiting until its workers say that they serve it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError, ReleaseError
from .active_state import ActiveState, own_models, promoted, restored
from .active_store import ActiveStore
from .deaths import at_fault
from .history import History
from .record import Release
from .store import record_sha256, verify_artifact
from .worker_state import (
    ServerKey,
    WorkerState,
    dead_workers,
    is_server_alive,
    live_workers,
    worker_counts,
)

OnWorkers = Callable[[list[WorkerState]], None]
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class PromotionResult:
    """What a promotion did: the state before and after it, and every worker's own after it.

    `released_apis` are those that a release governed before, and that the service's own model answers now.
    """

    before: ActiveState
    state: ActiveState
    workers: tuple[WorkerState, ...]

    @property
    def released_apis(self) -> tuple[str, ...]:
        """APIs that were governed by a release that is active no more, and are governed by none now."""
        return tuple(sorted(_governed(self.before) - _governed(self.state)))


def promote(
    store: ActiveStore,
    release: Release,
    folder: Path,
    *,
    timeout_s: float = 60.0,
    on_workers: OnWorkers = lambda states: None,
) -> PromotionResult:
    """Make a release active, and wait until the workers that are there, or those in their place, serve it.

    Raises:
        InputError: the release needs another number of workers than the server has.
        ReleaseError: it is damaged or not bound to a model, a worker could not take it, or another move came after this
            one; what was active before is active again, but for the last.
    """
    if release.service != store.service:
        raise ReleaseError(
            f"Release {release.name} is for the service {release.service}, not {store.service}.", "record"
        )
    if release.model_fingerprint is None:
        raise ReleaseError(
            f"Release {release.name} does not say which model it was made from, so it cannot be served: make it anew "
            f"with {release.renewal}",
            "fingerprint",
        )
    verify_artifact(release, folder)
    _check_worker_count(store, release)
    sha256 = record_sha256(folder)

    def change(state: ActiveState, _: History, now_s: float, new: int) -> ActiveState:
        return promoted(state, release, folder, sha256, now_s, new)

    return _move(store, change, timeout_s, on_workers)


def promote_own(
    store: ActiveStore,
    runner: str | None = None,
    *,
    timeout_s: float = 60.0,
    on_workers: OnWorkers = lambda states: None,
) -> PromotionResult:
    """Go to the service's own model, in one runner or in all of them.

    Raises:
        InputError: that is what is served already.
        ReleaseError: a worker did not follow.
    """

    def change(state: ActiveState, _: History, now_s: float, new: int) -> ActiveState:
        target = own_models(state, runner, now_s, new)
        if target.serves_same(state):
            where = f"The runner {runner!r}" if runner is not None else "The service"
            raise InputError(f"{where} runs its own model already: what is served is {state.describe()}.")
        return target

    return _move(store, change, timeout_s, on_workers)


def rollback(
    store: ActiveStore, *, timeout_s: float = 60.0, on_workers: OnWorkers = lambda states: None
) -> PromotionResult:
    """Go back to the last state below the present one that has served well, or to the service's own model.

    Called again, it goes further back.

    Raises:
        InputError: there is nothing to go back to.
        ReleaseError: a worker did not follow.
    """

    def change(state: ActiveState, history: History, now_s: float, new: int) -> ActiveState:
        target = history.rollback_target(state)
        if target is None:
            raise InputError(f"There is no release to roll back: {store.service} runs its own model.")
        return restored(target, "rollback", now_s, new)

    return _move(store, change, timeout_s, on_workers)


def _check_worker_count(store: ActiveStore, release: Release) -> None:
    if release.workers is None:
        return
    for count in worker_counts(store.folder).values():
        if count != release.workers:
            raise InputError(
                f"Release {release.name} was measured with {release.workers} worker(s), the running server has {count}:"
                f" restart it with bento-monitor serve TARGET --workers {release.workers}, then promote."
            )


def _move(
    store: ActiveStore,
    change: Callable[[ActiveState, History, float, int], ActiveState],
    timeout_s: float,
    on_workers: OnWorkers,
) -> PromotionResult:
    expected: Counter[ServerKey] = Counter()
    before: list[ActiveState] = []

    def counted(state: ActiveState, history: History, now_s: float, new: int) -> ActiveState:
        # Under the lock: whoever starts after this reads the new state by itself.
        expected.update(worker_counts(store.folder))
        before.append(state)
        return change(state, history, now_s, new)

    if not timeout_s > 0:
        raise InputError(f"The timeout is {timeout_s:g} s: give more than 0.")
    state = store.move(counted)
    assert state is not None
    try:
        workers = _settle(store, state, expected, timeout_s, on_workers)
    except KeyboardInterrupt:
        if state.promoted is not None:  # who breaks off a rollback does not want back what he leaves
            store.undo(state.sequence, "It was interrupted before every worker had taken it.")
        raise
    return PromotionResult(before[0], state, tuple(workers))


def _settle(
    store: ActiveStore, move: ActiveState, expected: Counter[ServerKey], timeout_s: float, on_workers: OnWorkers
) -> list[WorkerState]:
    """Wait until each server that was there has as many workers on this very move as it had workers."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        states = live_workers(store.folder)
        on_workers(states)
        servers = [server for server in expected if is_server_alive(server)]
        _require_still_active(store, move)
        if expected and not servers:
            _fail(store, move, "The server stopped before its workers had taken it.")
        for server in servers:
            _look_for_failures(store, move, server, states)
        if all(_has_followed(states, server, move, expected[server]) for server in servers):
            _require_still_active(store, move)
            return [state for state in states if state.server in expected]
        if time.monotonic() > deadline_s:
            there = sum(state.server in expected and _is_on(state, move) for state in states)
            wanted = sum(expected[server] for server in servers)
            _fail(store, move, f"{there} of {wanted} worker(s) serve it after {timeout_s:.0f} s.")
        time.sleep(_POLL_S)


def _has_followed(states: list[WorkerState], server: ServerKey, move: ActiveState, count: int) -> bool:
    mine = [state for state in states if state.server == server]
    return len(mine) >= count and all(_is_on(state, move) for state in mine)


def _is_on(state: WorkerState, move: ActiveState) -> bool:
    return state.sequence == move.sequence and state.phase == "serving"


def _look_for_failures(store: ActiveStore, move: ActiveState, server: ServerKey, states: list[WorkerState]) -> None:
    for state in states:
        if state.server == server and state.sequence == move.sequence and state.phase == "failed":
            _fail(store, move, f"Worker {state.pid} could not take it: {state.error}", _new_releases(move))
    killed = at_fault(dead_workers(store.folder), move.sequence, server)
    if killed is not None:
        _fail(store, move, f"Worker {killed.pid} died while it took {', '.join(killed.loading)}.", killed.loading)


def _new_releases(move: ActiveState) -> tuple[str, ...]:
    return () if move.promoted is None else (move.promoted,)


def _fail(store: ActiveStore, move: ActiveState, why: str, aside: tuple[str, ...] = ()) -> None:
    """Take the move back, and say so; somebody else may have done it already, or moved on."""
    try:
        undone = store.undo(move.sequence, why, aside)
    except OSError as error:
        raise ReleaseError(
            f"{_what(move)} is active, but it is not seen to be served: {why} It cannot be moved back either ({error}):"
            " mend that, then look at bento-monitor release status."
        ) from error
    if undone is None:
        _require_still_active(store, move)
    active = store.read().state
    raise ReleaseError(f"{_what(move)} was not taken: {why} Moved back to {active.describe()}.")


def _require_still_active(store: ActiveStore, move: ActiveState) -> None:
    """Raise where the active state is another by now: taken back by a worker, or overtaken by somebody's next move."""
    state = store.read().state
    if state.sequence == move.sequence:
        return
    later = store.history().states
    taken_back = next((each for each in later.values() if each.undoes == move.sequence), None)
    if taken_back is None and state.undoes == move.sequence:
        taken_back = state
    if taken_back is not None:
        raise ReleaseError(f"{_what(move)} was not taken: {taken_back.note} Moved back to {taken_back.describe()}.")
    raise ReleaseError(
        f"{_what(move)} was overtaken: {state.reason} number {state.sequence} came after it, and {state.describe()} is "
        "active now."
    )


def _what(move: ActiveState) -> str:
    if move.promoted is not None:
        return f"Release {move.promoted}"
    return f"The move to {move.describe()}"


def _governed(state: ActiveState) -> set[str]:
    return {api for active in state.runners.values() for api in active.apis}
