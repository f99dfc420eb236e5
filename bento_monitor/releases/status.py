"""What is active for a service, what each worker serves, and where the two differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .active_state import ActiveState
from .active_store import ActiveStore
from .store import StoredRelease
from .worker_state import WorkerState, live_workers


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """A service at one moment; `problems` says what is not as it should be, in sentences, `notes` what else there
    is.
    """

    active: ActiveState
    workers: tuple[WorkerState, ...]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def to_raw(self) -> dict[str, Any]:
        """All of it as JSON can hold it."""
        return {
            "active": {**asdict(self.active), "releases": self.active.releases},
            "workers": [
                {**asdict(worker), "is_on_active": _trouble(worker, self.active) is None} for worker in self.workers
            ],
            "problems": list(self.problems),
            "notes": list(self.notes),
        }


def read_status(store: ActiveStore) -> ServiceStatus:
    """Read the store and the states of the live workers; damage becomes a problem, never an exception."""
    reading = store.read()
    workers = tuple(live_workers(store.folder))
    problems, notes = [], []
    if reading.damage is not None:
        problems.append(
            f"{reading.damage}: the last good state is shown, and the next promote or rollback writes it anew."
        )
    if damaged := store.history().damaged_lines:
        notes.append(f"{damaged} line(s) of the journal cannot be read: rollback passes over them.")
    for worker in workers:
        trouble = _trouble(worker, reading.state)
        if trouble is not None:
            problems.append(f"Worker {worker.pid} is not on the active state: {trouble}.")
    return ServiceStatus(reading.state, workers, tuple(problems), tuple(notes))


def _trouble(worker: WorkerState, active: ActiveState) -> str | None:
    """Why a worker is not on the active state; None where it is."""
    if worker.error is not None:
        return worker.error.rstrip(".")
    if worker.phase in ("loading", "failed"):
        return f"it is {worker.phase}"
    if worker.sequence != active.sequence:
        return f"it has followed move {worker.sequence}, and {active.sequence} is active"
    wanted: Mapping[str, str] = active.releases
    for runner, release in wanted.items():
        if worker.serves.get(runner) != release:
            return f"its runner {runner} serves {worker.serves.get(runner) or 'the own model'}, not {release}"
    return None


def marks_of(stored: StoredRelease, store: ActiveStore) -> list[str]:
    """What there is to say of a stored release: active, put aside and why, of another model, unusable."""
    release = stored.release
    if release is None:
        return [f"damaged: {stored.problem}"]
    marks = []
    if release.name in store.read().state.releases.values():
        marks.append("active")
    aside = store.history().aside.get(release.name)
    if aside is not None:
        marks.append(f"put aside: {aside}")
    if release.model_fingerprint is None:
        marks.append(f"without the fingerprint of its model, so not served: make it anew with {release.renewal}")
        return marks
    seen = {worker.fingerprints.get(release.runner) for worker in live_workers(store.folder)} - {None}
    if seen and release.model_fingerprint not in seen:
        marks.append("of another model than the running server has")
    return marks
