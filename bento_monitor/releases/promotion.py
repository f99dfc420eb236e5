"""Promotes a release to a running server, or rolls it back, and waits until all workers serve the new state."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError, ReleaseError
from .active_state import ActiveState, own_models, promoted, restored
from .active_store import ActiveStore
from .deaths import killed_worker
from .history import History
from .release_record import Release
from .release_store import record_sha256, verify_artifact
from .worker_state import ServerKey, WorkerState, dead_workers, is_server_alive, live_workers, worker_counts

OnWorkers = Callable[[list[WorkerState]], None]
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class PromotionResult:
    """Result of a promotion: the active state before and after it, and the workers' states after it.

    `released_apis` are the APIs that a release governed before, and that the service's own model answers now.
    """

    before: ActiveState
    state: ActiveState
    workers: tuple[WorkerState, ...]

    @property
    def released_apis(self) -> tuple[str, ...]:
        """APIs that a release governed before the promotion, and that no release governs now."""
        return tuple(sorted(_governed(self.before) - _governed(self.state)))


def promote(
    store: ActiveStore,
    release: Release,
    folder: Path,
    *,
    timeout_s: float = 60.0,
    on_workers: OnWorkers = lambda states: None,
) -> PromotionResult:
    """Activate a release, and wait until the running workers or their replacements serve it.

    Raises:
        InputError: the release was measured with another number of workers than the server has, or `timeout_s` is not
            above 0.
        ReleaseError: the release is damaged or has no fingerprint, a worker could not activate it, the timeout passed,
            or a later change overtook this one. Except in the last case, the previous state is active again.
    """
    if release.service != store.service:
        raise ReleaseError(
            f"Release {release.name} is for the service {release.service}, not {store.service}.", "record"
        )
    if release.model_fingerprint is None:
        raise ReleaseError(
            f"Release {release.name} does not say which model it was made from, so it cannot be served: make a new "
            f"release with {release.renewal}",
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
    """Activate the service's own model, in one runner or in all runners.

    Raises:
        InputError: the own model is served already.
        ReleaseError: a worker did not follow.
    """

    def change(state: ActiveState, _: History, now_s: float, new: int) -> ActiveState:
        target = own_models(state, runner, now_s, new)
        if target.serves_same(state):
            where = f"The runner {runner!r}" if runner is not None else "The service"
            raise InputError(f"{where} runs its own model already: {state.describe()} is active.")
        return target

    return _move(store, change, timeout_s, on_workers)


def rollback(
    store: ActiveStore, *, timeout_s: float = 60.0, on_workers: OnWorkers = lambda states: None
) -> PromotionResult:
    """Roll back to the nearest earlier state that has served well, or to the service's own model.

    Each further call goes further back.

    Raises:
        InputError: the service runs its own model, so there is nothing to roll back.
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

    def count_and_change(state: ActiveState, history: History, now_s: float, new: int) -> ActiveState:
        # Under the lock: workers that start later read the new state by themselves.
        expected.update(worker_counts(store.folder))
        before.append(state)
        return change(state, history, now_s, new)

    if not timeout_s > 0:
        raise InputError(f"The timeout is {timeout_s:g} s: give more than 0.")
    state = store.move(count_and_change)
    assert state is not None
    try:
        workers = _settle(store, _Change(before[0], state), expected, timeout_s, on_workers)
    except KeyboardInterrupt:
        if state.promoted is not None:  # the state before a rollback is not wanted back
            store.undo(state.sequence, "It was interrupted before every worker served it.")
        raise
    return PromotionResult(before[0], state, tuple(workers))


@dataclass(frozen=True, slots=True)
class _Change:
    """A change, and the state before it."""

    before: ActiveState
    state: ActiveState

    @property
    def new(self) -> tuple[str, ...]:
        """Names of the releases that the change activates; other releases were active before."""
        known = self.before.releases.values()
        return tuple(release for release in self.state.releases.values() if release not in known)

    @property
    def name(self) -> str:
        """Description of the change."""
        promoted = self.state.promoted
        return f"Release {promoted}" if promoted is not None else f"The change to {self.state.describe()}"

    def is_followed_by(self, worker: WorkerState) -> bool:
        """Return whether a worker serves exactly this change; releases that it refused before do not matter."""
        is_settled = worker.sequence == self.state.sequence and worker.phase in ("serving", "failed")
        wanted = self.state.releases
        return (
            is_settled
            and all(worker.serves.get(runner) == wanted[runner] for runner in wanted if wanted[runner] in self.new)
            and all(release is None or wanted.get(runner) == release for runner, release in worker.serves.items())
        )

    def is_failed_by(self, worker: WorkerState) -> bool:
        """Return whether a worker reports that it cannot activate this change."""
        has_failed = worker.sequence == self.state.sequence and worker.phase == "failed"
        return has_failed and not self.is_followed_by(worker)


def _settle(
    store: ActiveStore, change: _Change, expected: Counter[ServerKey], timeout_s: float, on_workers: OnWorkers
) -> list[WorkerState]:
    """Wait until each server has as many workers on exactly this change as it had workers before."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        states = live_workers(store.folder)
        on_workers(states)
        seen = {state.server for state in states}
        servers = [server for server in expected if server in seen or is_server_alive(server)]
        _require_still_active(store, change)
        if expected and not servers:
            _fail(store, change, "The server stopped before its workers served it.")
        dead = dead_workers(store.folder)
        for server in servers:
            _check_failures(store, change, server, states, dead)
        if all(_has_followed(states, server, change, expected[server]) for server in servers):
            _require_still_active(store, change)
            return [state for state in states if state.server in expected]
        if time.monotonic() > deadline_s:
            there = sum(state.server in expected and change.is_followed_by(state) for state in states)
            wanted = sum(expected[server] for server in servers)
            _fail(store, change, f"{there} of {wanted} worker(s) serve it after {timeout_s:.0f} s.")
        time.sleep(_POLL_S)


def _has_followed(states: list[WorkerState], server: ServerKey, change: _Change, count: int) -> bool:
    mine = [state for state in states if state.server == server]
    return len(mine) >= count and all(change.is_followed_by(state) for state in mine)


def _check_failures(
    store: ActiveStore, change: _Change, server: ServerKey, states: list[WorkerState], dead: list[WorkerState]
) -> None:
    for state in states:
        if state.server == server and change.is_failed_by(state):
            _fail(store, change, f"Worker {state.pid} could not activate it: {state.error}", change.new)
    killed = killed_worker(dead, change.state.sequence, server)
    if killed is not None:
        _fail(store, change, f"Worker {killed.pid} died while it loaded {', '.join(killed.loading)}.", killed.loading)


def _fail(store: ActiveStore, change: _Change, why: str, aside: tuple[str, ...] = ()) -> None:
    """Revert the change and raise an error; it may be reverted already, or overtaken by a later change."""
    try:
        undone = store.undo(change.state.sequence, why, aside)
    except OSError as error:
        raise ReleaseError(
            f"{change.name} is active, but not every worker serves it: {why} It cannot be reverted either ({error}):"
            " fix that, then run bento-monitor release status."
        ) from error
    if undone is None:
        _require_still_active(store, change)
    active = store.read().state
    raise ReleaseError(f"{change.name} was not activated: {why} Reverted to {active.describe()}.")


def _require_still_active(store: ActiveStore, change: _Change) -> None:
    """Raise an error if the change is no longer active: reverted by a worker, or overtaken by a later change."""
    state = store.read().state
    if state.sequence == change.state.sequence:
        return
    later = [state, *store.history().states.values()]
    revert = next((each for each in later if each.undoes == change.state.sequence), None)
    if revert is not None:
        raise ReleaseError(f"{change.name} was not activated: {revert.note} Reverted to {revert.describe()}.")
    raise ReleaseError(
        f"{change.name} was overtaken by a later change ({state.reason}, number {state.sequence}): "
        f"{state.describe()} is active now."
    )


def _governed(state: ActiveState) -> set[str]:
    return {api for active in state.runners.values() for api in active.apis}
