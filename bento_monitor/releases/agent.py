"""The release agent of each worker: follows the active state, loads releases in the background, and swaps them in."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Iterable

from ..conventions import OWN_MODEL
from ..errors import ReleaseError
from ..resilience.rate_limited_log import OutageLog
from .active_state import ActiveRelease, ActiveState
from .active_store import ActiveStore, StateReading
from .deaths import forget_deaths, put_killers_aside
from .loading import NOTHING_LOADED, Loaded, ReleaseRefusal, ServedModels, load
from .reporter import Reporter
from .swap_counts import SwapCounts
from .worker_state import WorkerState

_LOGGER = logging.getLogger("bento_monitor")
_RETRY_S = (1.0, 60.0)
_CHECK_MODELS_S = 2.0
_REPORT_FALLBACKS_S = 1.0


class ReleaseAgent:
    """A thread that makes a worker serve the active state.

    If a running worker cannot follow a change, the worker stays as it is, and the change is reverted for all workers. A
    starting worker serves the own model instead of a release that it may not or cannot serve, and retries later.
    """

    def __init__(
        self, store: ActiveStore, models: ServedModels, *, poll_interval_s: float, probation_s: float = 0.0
    ) -> None:
        """Make an agent; the thread starts with `start`.

        Args:
            store: the active state of the service.
            models: the runners of this worker.
            poll_interval_s: time between two reads of the active state.
            probation_s: duration of the probation of a new release; one failed call during it reverts the change.
        """
        self.swaps = SwapCounts()
        self._store = store
        self._models = models
        self._poll_interval_s = poll_interval_s
        self._probation_s = probation_s
        self._reporter = Reporter(store.folder)
        self._content: bytes | None = None
        self._followed: ActiveState | None = None
        self._loaded: Loaded = NOTHING_LOADED
        self._pending_undo: tuple[int, str, tuple[str, ...]] | None = None
        self._incumbent: Loaded = NOTHING_LOADED
        self._watched: dict[ActiveRelease, tuple[float, int]] = {}
        self._is_kept = True
        self._note_at_s = 0.0
        self._forget_deaths_at_s: float | None = None
        self._retry_at_s, self._retry_s = 0.0, _RETRY_S[0]
        self._check_models_at_s = self._report_fallbacks_at_s = 0.0
        self._has_fingerprints = False
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._damage = OutageLog(_LOGGER, "%s: the worker continues with the last good state until it is repaired.")
        self._outages = OutageLog(_LOGGER, "The active state cannot be followed (%s): the worker continues unchanged.")
        self._undo_outages = OutageLog(_LOGGER, "A failed change cannot be reverted yet (%s): the worker tries again.")

    @property
    def state(self) -> WorkerState:
        """State of this worker."""
        return self._reporter.state

    def start(self) -> None:
        """Serve the active state in the caller's thread, then start the thread that follows it; never raises."""
        self._stop.clear()
        for step in (self._put_killers_aside, self._serve_from_start):
            try:
                step()
            except Exception:
                _LOGGER.exception("The active state cannot be followed: the worker continues unchanged.")
        self._reporter.report(serves=self._serves())
        self._thread = threading.Thread(target=self._run, name="bento-monitor-releases", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread, and remove the worker's state file."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=1.0)
        self._reporter.remove()

    def release_info(self) -> dict[tuple[str, ...], int]:
        """Return 1 for each runner, its release and its phase, for metrics."""
        state, refused = self.state, self._loaded.refusals
        others = "serving" if state.phase == "failed" else state.phase
        return {
            (runner, release or OWN_MODEL, "failed" if runner in refused else others): 1
            for runner, release in state.serves.items()
        }

    def _run(self) -> None:
        while not self._stop.wait(self._poll_interval_s):
            try:
                self._step()
                self._outages.worked()
            except Exception as error:  # the thread must outlive a full disk and a damaged store
                self._outages.failed(f"{type(error).__name__}: {error}")

    def _put_killers_aside(self) -> None:
        try:
            put_killers_aside(self._store, self.state.server)
        except (OSError, ReleaseError) as error:
            _LOGGER.warning("Releases that have killed workers cannot be put aside: %s", error)

    def _step(self) -> None:
        self._reporter.catch_up()
        if not self._has_fingerprints:
            self._has_fingerprints = True
            self._learn_fingerprints(self._models.names())
        self._revert()
        self._check_state()
        self._check_models()
        self._check_probation()
        self._note_kept()
        self._report_fallbacks()

    def _check_state(self) -> None:
        content = self._store.content()
        if content != self._content:
            reading = self._store.read()
            self._log_damage(reading)
            if reading.damage is None or self._followed is None:
                self._follow(reading.state)
            self._content = content
        elif self._followed is not None and self._loaded.is_worth_a_retry and time.monotonic() >= self._retry_at_s:
            self._retry(self._followed)

    def _serve_from_start(self) -> None:
        """Serve the active state before the first request, with the own model instead of refused releases."""
        content, reading = self._store.content(), self._store.read()
        self._log_damage(reading)
        state, started_s = reading.state, time.monotonic()
        if state.runners:
            self._reporter.report(sequence=state.sequence, phase="loading", loading=NOTHING_LOADED.missing(state))
        self._swap(state, load(state, self._models), started_s)
        self._check_probation()
        self._content = content
        self._forget_deaths_at_s = time.monotonic() + self._probation_s

    def _follow(self, state: ActiveState) -> None:
        """Follow a change in a running worker: completely, or not at all."""
        if state == self._followed:
            return
        started_s = time.monotonic()
        new = self._loaded.missing(state)
        self._reporter.report(sequence=state.sequence, phase="loading", loading=new, error=None, reason=None)
        loaded = load(state, self._models, self._loaded, self._incumbent)
        for runner, refusal in loaded.refusals.items():
            if self._followed is not None and self._followed.runners.get(runner) != state.runners[runner]:
                self._fail(state, refusal)
                return
        self._swap(state, loaded, started_s)
        self._check_probation()
        self._note_kept()

    def _retry(self, state: ActiveState) -> None:
        """Retry refused releases: a missing folder may have returned, or a full disk may have space again."""
        started_s = time.monotonic()
        self._reporter.report(loading=self._loaded.missing(state))
        loaded = load(state, self._models, self._loaded)
        self._reporter.report(loading=())
        self._retry_s = min(self._retry_s * 2, _RETRY_S[1])
        self._retry_at_s = time.monotonic() + self._retry_s
        if loaded.refusals != self._loaded.refusals:
            self._swap(state, loaded, started_s)

    def _swap(self, state: ActiveState, loaded: Loaded, started_s: float) -> None:
        before, is_kept = self._loaded, state.position == 0 or state.position in self._store.history().kept
        if not is_kept:  # watch from before the swap, since the first call may fail
            self._watch([active for runner, (active, _) in loaded.prepared.items() if not before.has(runner, active)])
        loaded.serve(self._models)
        swap_ms = (time.monotonic() - started_s) * 1e3
        self._log_swap(state, loaded, swap_ms)
        if not loaded.refusals:
            self._retry_s = _RETRY_S[0]
        self._retry_at_s = time.monotonic() + self._retry_s
        self._incumbent, self._loaded, self._followed, self._is_kept = before, loaded, state, is_kept
        refusal = loaded.first_refusal
        # A release that was already refused before this change is not a failure of the change.
        is_failed = any(before.refusals.get(runner) != found for runner, found in loaded.refusals.items())
        self._reporter.report(
            sequence=state.sequence,
            phase="failed" if is_failed else "probation" if self._on_probation() else "serving",
            serves=self._serves(),
            refused=tuple(found.release for found in loaded.refusals.values()),
            loading=self._on_probation(),
            error=None if refusal is None else refusal.message,
            reason=None if refusal is None else refusal.reason,
            swap_ms=swap_ms,
        )

    def _log_swap(self, state: ActiveState, loaded: Loaded, swap_ms: float) -> None:
        before = self._loaded
        for runner, (active, _) in loaded.prepared.items():
            if not before.has(runner, active):
                self.swaps.count("taken", "")
                _LOGGER.info("Runner %s serves %s (swapped in %.0f ms).", runner, active.release, swap_ms)
        for runner, refusal in loaded.refusals.items():
            if before.refusals.get(runner) != refusal:
                self.swaps.count("refused", refusal.reason)
                _LOGGER.warning("Runner %s serves the service's own model: %s", runner, refusal.message)
        for runner in before.prepared.keys() - state.runners.keys():
            _LOGGER.info("Runner %s serves the service's own model.", runner)

    def _serves(self) -> dict[str, str | None]:
        own: dict[str, str | None] = dict.fromkeys(self._models.names())
        return own | self._loaded.releases

    def _fail(self, state: ActiveState, refusal: ReleaseRefusal) -> None:
        """Report a failed change, and revert it for all workers; this worker continues with what it serves."""
        self.swaps.count("failed", refusal.reason)
        _LOGGER.warning("Release %s is not activated: %s", refusal.release, refusal.message)
        note = f"Worker {self.state.pid} could not activate {refusal.release}: {refusal.message}"
        self._pending_undo = (state.sequence, note, (refusal.release,))
        self._reporter.report(
            phase="failed", serves=self._serves(), loading=(), error=refusal.message, reason=refusal.reason
        )
        self._revert()

    def _revert(self) -> None:
        if self._pending_undo is None:
            return
        try:
            # Otherwise it is reverted already, or overtaken by a later change.
            if self._store.read().state.sequence == self._pending_undo[0]:
                self._store.undo(*self._pending_undo)
            self._pending_undo = None
            self._undo_outages.worked()
        except (OSError, ReleaseError) as error:  # for example a full disk: retry at the next step
            self._undo_outages.failed(error)

    def _watch(self, new: Iterable[ActiveRelease]) -> None:
        """Put releases on probation, each for its own time, regardless of later changes."""
        failures, deadline_s = self._models.failures(), time.monotonic() + self._probation_s
        for active in new:
            self._watched[active] = (deadline_s, failures.get(active.release, 0))

    def _on_probation(self) -> tuple[str, ...]:
        """Return the served releases that are on probation."""
        return tuple(active.release for active, _ in self._loaded.prepared.values() if active in self._watched)

    def _check_probation(self) -> None:
        """Revert a release that failed a call which the own model answered; end the probations that are over."""
        failures, now_s = self._models.failures(), time.monotonic()
        served = {active: runner for runner, (active, _) in self._loaded.prepared.items()}
        for active, (deadline_s, before) in list(self._watched.items()):
            runner = served.get(active)
            failed = failures.get(active.release, 0) - before
            if runner is None or now_s >= deadline_s or failed:
                del self._watched[active]
            if runner is not None and failed:
                self._revert_runner(runner, active, failed)
                return
        if self.state.phase == "probation" and not self._on_probation():
            self._reporter.report(phase="serving", loading=())
        if not self._watched and self._incumbent is not NOTHING_LOADED:
            self._incumbent = NOTHING_LOADED
            self._models.free_previous()

    def _revert_runner(self, runner: str, active: ActiveRelease, failed: int) -> None:
        """Serve in this runner what it served before, and revert the change for all workers."""
        state = self._followed
        assert state is not None
        self._loaded = self._loaded.with_former(runner, self._incumbent)
        self._loaded.serve(self._models)
        message = f"it failed {failed} call(s) on probation that the service's own model answered."
        self._fail(state, ReleaseRefusal(active.release, message, "probation"))

    def _note_kept(self) -> None:
        """Note in the journal that the state has served well, when it has; forget earlier deaths of workers."""
        state, now_s = self._followed, time.monotonic()
        if self._forget_deaths_at_s is not None and now_s >= self._forget_deaths_at_s and not self._on_probation():
            self._forget_deaths_at_s = None
            forget_deaths(self._store.folder)
        is_proven = state is not None and not self._loaded.refusals and not self._on_probation()
        if self._is_kept or not is_proven or self.state.phase != "serving" or now_s < self._note_at_s:
            return
        assert state is not None
        try:
            self._store.note_kept(state)
            self._is_kept = True
        except (OSError, ReleaseError):  # for example a full disk: retry later
            self._note_at_s = now_s + _RETRY_S[0]

    def _check_models(self) -> None:
        """Stop serving releases of a model whose weights the service's own code has reloaded.

        Without an active release nothing is checked, because a model may write to its buffers in every call.
        """
        now_s = time.monotonic()
        if now_s < self._check_models_at_s:
            return
        self._check_models_at_s = now_s + _CHECK_MODELS_S
        served = self._loaded.prepared
        if served and self._followed is not None:
            self._learn_fingerprints(served)
            known = self.state.fingerprints
            changed = {runner for runner, (active, _) in served.items() if known.get(runner) != active.model}
            if changed:
                self._swap(self._followed, load(self._followed, self._models, self._loaded.without(changed)), now_s)

    def _learn_fingerprints(self, runners: Collection[str]) -> None:
        others = {runner: found for runner, found in self.state.fingerprints.items() if runner not in runners}
        fingerprints = others | self._models.fingerprints(runners)
        if fingerprints != self.state.fingerprints:
            self._reporter.report(fingerprints=fingerprints)

    def _report_fallbacks(self) -> None:
        now_s = time.monotonic()
        if now_s >= self._report_fallbacks_at_s and (fallbacks := self._models.fallbacks()) != self.state.fallbacks:
            self._report_fallbacks_at_s = now_s + _REPORT_FALLBACKS_S
            self._reporter.report(fallbacks=fallbacks)

    def _log_damage(self, reading: StateReading) -> None:
        if reading.damage is not None:
            self._damage.failed(reading.damage)
        else:
            self._damage.worked()
