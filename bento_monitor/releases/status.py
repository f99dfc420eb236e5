"""What is active for a service, what each worker serves, and where the two differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .active_state import ActiveState
from .active_store import ActiveStore
from .release_record import Release
from .worker_state import WorkerState, live_workers, models_of


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


@dataclass(frozen=True, slots=True)
class Standing:
    """What the releases of one service are judged by: which are active, which were put aside and why, and the
    fingerprints of the models that its live workers have, by runner.
    """

    active: frozenset[str]
    aside: Mapping[str, str]
    models: Mapping[str, set[str]]

    def marks_of(self, release: Release) -> list[str]:
        """What there is to say of a release: active, put aside and why, without a fingerprint, of another model."""
        marks = ["active"] if release.name in self.active else []
        if release.name in self.aside:
            marks.append(f"put aside: {self.aside[release.name]}")
        models = self.models.get(release.runner)
        if release.model_fingerprint is None:
            marks.append(f"without the fingerprint of its model, so not served: make it anew with {release.renewal}")
        elif models and release.model_fingerprint not in models:
            marks.append("of another model than the running server has")
        return marks


def read_standing(store: ActiveStore) -> Standing:
    """Read a service's store and the states of its live workers."""
    return Standing(
        active=frozenset(store.read().state.releases.values()),
        aside=store.history().aside,
        models=models_of(live_workers(store.folder)),
    )
