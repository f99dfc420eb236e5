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
from .release_record import Release
from .release_store import record_sha256, verify_artifact
from .worker_state import ServerKey, WorkerState, dead_workers, is_server_alive, live_workers, worker_counts

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
        workers = _settle(store, _Move(before[0], state), expected, timeout_s, on_workers)
    except KeyboardInterrupt:
        if state.promoted is not None:  # who breaks off a rollback does not want back what he leaves
            store.undo(state.sequence, "It was interrupted before every worker had taken it.")
        raise
    return PromotionResult(before[0], state, tuple(workers))


@dataclass(frozen=True, slots=True)
class _Move:
    """A move, and what was active before it."""

    before: ActiveState
    state: ActiveState

    @property
    def new(self) -> tuple[str, ...]:
        """The releases that it brings: what else is served was there before."""
        known = self.before.releases.values()
        return tuple(release for release in self.state.releases.values() if release not in known)

    @property
    def name(self) -> str:
        """What it is, in words."""
        promoted = self.state.promoted
        return f"Release {promoted}" if promoted is not None else f"The move to {self.state.describe()}"

    def is_followed_by(self, worker: WorkerState) -> bool:
        """Whether a worker serves this very move. What it refused already before is no part of that."""
        is_there = worker.sequence == self.state.sequence and worker.phase in ("serving", "failed")
        wanted = self.state.releases
        return (
            is_there
            and all(worker.serves.get(runner) == wanted[runner] for runner in wanted if wanted[runner] in self.new)
            and all(release is None or wanted.get(runner) == release for runner, release in worker.serves.items())
        )

    def is_failed_by(self, worker: WorkerState) -> bool:
        """Whether a worker says that it cannot take what this move brings."""
        is_there = worker.sequence == self.state.sequence and worker.phase == "failed"
        return is_there and not self.is_followed_by(worker)


def _settle(
    store: ActiveStore, move: _Move, expected: Counter[ServerKey], timeout_s: float, on_workers: OnWorkers
) -> list[WorkerState]:
    """Wait until each server that was there has as many workers on this very move as it had workers."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        states = live_workers(store.folder)
        on_workers(states)
        seen = {state.server for state in states}
        servers = [server for server in expected if server in seen or is_server_alive(server)]
        _require_still_active(store, move)
        if expected and not servers:
            _fail(store, move, "The server stopped before its workers had taken it.")
        dead = dead_workers(store.folder)
        for server in servers:
            _look_for_failures(store, move, server, states, dead)
        if all(_has_followed(states, server, move, expected[server]) for server in servers):
            _require_still_active(store, move)
            return [state for state in states if state.server in expected]
        if time.monotonic() > deadline_s:
            there = sum(state.server in expected and move.is_followed_by(state) for state in states)
            wanted = sum(expected[server] for server in servers)
            _fail(store, move, f"{there} of {wanted} worker(s) serve it after {timeout_s:.0f} s.")
        time.sleep(_POLL_S)


def _has_followed(states: list[WorkerState], server: ServerKey, move: _Move, count: int) -> bool:
    mine = [state for state in states if state.server == server]
    return len(mine) >= count and all(move.is_followed_by(state) for state in mine)


def _look_for_failures(
    store: ActiveStore, move: _Move, server: ServerKey, states: list[WorkerState], dead: list[WorkerState]
) -> None:
    for state in states:
        if state.server == server and move.is_failed_by(state):
            _fail(store, move, f"Worker {state.pid} could not take it: {state.error}", move.new)
    killed = at_fault(dead, move.state.sequence, server)
    if killed is not None:
        _fail(store, move, f"Worker {killed.pid} died while it took {', '.join(killed.loading)}.", killed.loading)


def _fail(store: ActiveStore, move: _Move, why: str, aside: tuple[str, ...] = ()) -> None:
    """Take the move back, and say so; somebody else may have done it already, or moved on."""
    try:
        undone = store.undo(move.state.sequence, why, aside)
    except OSError as error:
        raise ReleaseError(
            f"{move.name} is active, but it is not seen to be served: {why} It cannot be moved back either ({error}):"
            " mend that, then look at bento-monitor release status."
        ) from error
    if undone is None:
        _require_still_active(store, move)
    active = store.read().state
    raise ReleaseError(f"{move.name} was not taken: {why} Moved back to {active.describe()}.")


def _require_still_active(store: ActiveStore, move: _Move) -> None:
    """Raise where the active state is another by now: taken back by a worker, or overtaken by somebody's next move."""
    state = store.read().state
    if state.sequence == move.state.sequence:
        return
    later = [state, *store.history().states.values()]
    taken_back = next((each for each in later if each.undoes == move.state.sequence), None)
    if taken_back is not None:
        raise ReleaseError(f"{move.name} was not taken: {taken_back.note} Moved back to {taken_back.describe()}.")
    raise ReleaseError(
        f"{move.name} was overtaken: {state.reason} number {state.sequence} came after it, and {state.describe()} is "
        "active now."
    )


def _governed(state: ActiveState) -> set[str]:
    return {api for active in state.runners.values() for api in active.apis}
