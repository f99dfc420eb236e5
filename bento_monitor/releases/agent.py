"""In every worker: follows the active state, loads releases beside what runs, and swaps."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Sequence

from ..conventions import OWN_MODEL
from ..errors import ReleaseError
from ..sparse_log import OutageLog
from .active_state import ActiveState
from .active_store import ActiveStore, Reading
from .deaths import put_killers_aside
from .loading import NOTHING, Loaded, Refusal, ServedModels, load
from .reporter import Reporter
from .swap_counts import SwapCounts
from .worker_state import WorkerState

_LOGGER = logging.getLogger("bento_monitor")
_RETRY_S = (1.0, 60.0)
_CHECK_MODELS_S = 2.0
_TELL_FALLBACKS_S = 1.0


class ReleaseAgent:
    """A thread that makes a worker serve the active state.

    A move that a running worker cannot follow changes nothing in it, and is taken back for all. A worker that starts
    serves the own model in place of a release that it may not serve, or cannot, and tries again later.
    """

    def __init__(
        self, store: ActiveStore, models: ServedModels, *, poll_interval_s: float, probation_s: float = 0.0
    ) -> None:
        """Make an agent; nothing runs before `start`.

        Args:
            store: where the active state of the service is.
            models: the runners of this worker.
            poll_interval_s: how often the active state is looked at.
            probation_s: how long what has not served well yet is watched; one call that it fails, and it is taken back.
        """
        self.swaps = SwapCounts()
        self._store = store
        self._models = models
        self._poll_interval_s = poll_interval_s
        self._probation_s = probation_s
        self._reporter = Reporter(store.folder)
        self._content: bytes | None = None
        self._followed: ActiveState | None = None
        self._loaded: Loaded = NOTHING
        self._undo: tuple[int, str, tuple[str, ...]] | None = None
        self._unproven: tuple[ActiveState, float, int] | None = None
        self._retry_at_s, self._retry_s = 0.0, _RETRY_S[0]
        self._check_models_at_s = self._tell_fallbacks_at_s = 0.0
        self._has_learnt = False
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._damage = OutageLog(_LOGGER, "%s: the worker goes on with the last good state until it is whole again.")
        self._outages = OutageLog(_LOGGER, "The active state cannot be followed (%s): the worker goes on as it is.")

    @property
    def state(self) -> WorkerState:
        """What this worker says of itself."""
        return self._reporter.state

    def start(self) -> None:
        """Serve what is active, in the caller's thread, then follow it in a thread of its own; never raises."""
        for step in (self._put_killers_aside, self._serve_from_start):
            try:
                step()
            except Exception:
                _LOGGER.exception("The active state cannot be followed; the worker goes on as it is.")
        self._reporter.report(serves=self._serves())
        self._thread = threading.Thread(target=self._run, name="bento-monitor-releases", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop following; the worker is no longer counted."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=1.0)
        self._reporter.remove()

    def release_info(self) -> dict[tuple[str, ...], int]:
        """What each runner serves: 1 by runner, release and phase, for metrics."""
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
            _LOGGER.warning("Whether a release has killed a worker cannot be noted: %s", error)

    def _step(self) -> None:
        self._reporter.catch_up()
        if not self._has_learnt:
            self._has_learnt = True
            self._learn_fingerprints()
        self._take_back()
        content = self._store.content()
        if content != self._content:
            reading = self._store.read()
            self._tell_damage(reading)
            if reading.damage is None or self._followed is None:
                self._follow(reading.state)
            if reading.damage is None:
                self._content = content
        elif self._followed is not None and self._loaded.is_worth_a_retry and time.monotonic() >= self._retry_at_s:
            self._retry(self._followed)
        self._look_at_models()
        self._look_at_proof()
        self._tell_fallbacks()

    def _serve_from_start(self) -> None:
        """Before the first request: nothing runs that would be kept instead, so what cannot be served is left out."""
        content, reading = self._store.content(), self._store.read()
        self._tell_damage(reading)
        state, started_s = reading.state, time.monotonic()
        if state.runners:
            self._reporter.report(sequence=state.sequence, phase="loading", loading=NOTHING.missing(state))
        self._swap(state, load(state, self._models, NOTHING), started_s)
        if state.position != 0 and not self._loaded.refusals:
            # It has served well when nothing has failed for as long as a probation.
            self._unproven = (state, time.monotonic() + self._probation_s, self._failures(state.runners))
        if reading.damage is None:
            self._content = content

    def _follow(self, state: ActiveState) -> None:
        """A move of a running worker: all of it, or nothing."""
        if state == self._followed:
            return
        started_s = time.monotonic()
        new = self._loaded.missing(state)
        self._reporter.report(sequence=state.sequence, phase="loading", loading=new, error=None, reason=None)
        loaded = load(state, self._models, self._loaded)
        for runner, refusal in loaded.refusals.items():
            if self._followed is not None and self._followed.runners.get(runner) != state.runners[runner]:
                self._fail(state, refusal, (refusal.release,))
                return
        incumbent = self._loaded, self._followed
        runners = [runner for runner, active in state.runners.items() if not self._loaded.has(runner, active)]
        failures = self._failures(runners)  # before the swap: the first call may fail
        self._swap(state, loaded, started_s)
        if state.position != 0 and state.position not in self._store.history().kept:
            self._watch(state, runners, failures, incumbent)

    def _retry(self, state: ActiveState) -> None:
        """What could not be served may have come back: a folder that was not there, a disk that was full."""
        started_s = time.monotonic()
        self._reporter.report(loading=self._loaded.missing(state))
        loaded = load(state, self._models, self._loaded)
        self._reporter.report(loading=())
        self._retry_s = min(self._retry_s * 2, _RETRY_S[1])
        self._retry_at_s = time.monotonic() + self._retry_s
        if loaded.refusals != self._loaded.refusals:
            self._swap(state, loaded, started_s)

    def _swap(self, state: ActiveState, loaded: Loaded, started_s: float) -> None:
        loaded.serve(self._models)
        swap_ms = (time.monotonic() - started_s) * 1e3
        self._tell_swap(state, loaded, swap_ms)
        if not loaded.refusals:
            self._retry_s = _RETRY_S[0]
        self._retry_at_s = time.monotonic() + self._retry_s
        self._loaded, self._followed = loaded, state
        refusal = loaded.first_refusal
        self._reporter.report(
            sequence=state.sequence,
            phase="serving" if refusal is None else "failed",
            serves=self._serves(),
            loading=(),
            error=None if refusal is None else refusal.message,
            reason=None if refusal is None else refusal.reason,
            swap_ms=swap_ms,
        )

    def _tell_swap(self, state: ActiveState, loaded: Loaded, swap_ms: float) -> None:
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

    def _fail(self, state: ActiveState, refusal: Refusal, at_fault: tuple[str, ...]) -> None:
        """The worker goes on with what it serves, and the move is taken back for all."""
        self.swaps.count("failed", refusal.reason)
        _LOGGER.warning("Release %s is not taken over: %s", refusal.release, refusal.message)
        note = f"Worker {self.state.pid} could not take {refusal.release}: {refusal.message}"
        self._undo = (state.sequence, note, at_fault)
        self._reporter.report(
            phase="failed", serves=self._serves(), loading=(), error=refusal.message, reason=refusal.reason
        )
        self._take_back()

    def _take_back(self) -> None:
        if self._undo is not None:
            self._store.undo(*self._undo)  # a full disk raises: it is tried again
            self._undo = None

    def _watch(
        self, state: ActiveState, runners: Sequence[str], failures: int, incumbent: tuple[Loaded, ActiveState | None]
    ) -> None:
        """Watch what has just begun to serve in these runners, until its probation is over or it is moved on."""
        deadline_s = time.monotonic() + self._probation_s
        new = tuple(state.runners[runner].release for runner in runners)
        is_active = state.to_json().encode() + b"\n"
        self._reporter.report(phase="probation", loading=new)
        while not self._stop.is_set():
            failed = self._failures(runners) - failures
            if failed:
                self._loaded, self._followed = incumbent
                self._loaded.serve(self._models)
                message = f"it failed {failed} call(s) in its first seconds that the service's own model answered."
                self._fail(state, Refusal(", ".join(new) or state.describe(), message, "probation"), new)
                return
            if self._store.content() != is_active:
                break
            if time.monotonic() >= deadline_s:
                self._unproven = (state, deadline_s, self._failures(state.runners))
                self._look_at_proof()
                break
            self._stop.wait(min(self._poll_interval_s, self._probation_s))
        self._reporter.report(phase="serving", loading=())

    def _look_at_proof(self) -> None:
        """Note that what is served has served well, when it has."""
        if self._unproven is None:
            return
        state, at_s, failures = self._unproven
        if state != self._followed or self._loaded.refusals or self._failures(state.runners) != failures:
            self._unproven = None
        elif time.monotonic() >= at_s:
            try:
                self._store.note_kept(state)
                self._unproven = None
            except (OSError, ReleaseError):  # a full disk: it is noted later
                self._unproven = (state, time.monotonic() + _RETRY_S[0], failures)

    def _failures(self, runners: Iterable[str]) -> int:
        """Calls that the releases in these runners have failed, and the own models answered."""
        counts = self._models.failures()
        return sum(counts.get(runner, 0) for runner in runners)

    def _look_at_models(self) -> None:
        """Weights that the service's own code has loaded anew are another model: releases of the old one end.

        Where no release runs nobody asks, for a model may write to its buffers in every call.
        """
        now_s = time.monotonic()
        if now_s < self._check_models_at_s:
            return
        self._check_models_at_s = now_s + _CHECK_MODELS_S
        if not any(self._models.has_changed(runner) for runner in self._loaded.prepared):
            return
        before = self.state.fingerprints
        self._learn_fingerprints()
        changed = {runner for runner in before if self.state.fingerprints.get(runner) != before[runner]}
        if changed and self._followed is not None:
            self._swap(self._followed, load(self._followed, self._models, self._loaded.without(changed)), now_s)

    def _learn_fingerprints(self) -> None:
        fingerprints = self._models.fingerprints()
        if fingerprints != self.state.fingerprints:
            self._reporter.report(fingerprints=fingerprints)

    def _tell_fallbacks(self) -> None:
        now_s = time.monotonic()
        if now_s >= self._tell_fallbacks_at_s and (fallbacks := self._models.fallbacks()) != self.state.fallbacks:
            self._tell_fallbacks_at_s = now_s + _TELL_FALLBACKS_S
            self._reporter.report(fallbacks=fallbacks)

    def _tell_damage(self, reading: Reading) -> None:
        if reading.damage is not None:
            self._damage.failed(reading.damage)
        else:
            self._damage.worked()
