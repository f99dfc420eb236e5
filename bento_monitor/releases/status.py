"""The status of a service: its active state, what each worker serves, and the differences."""

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
    """Status of a service at one moment; `problems` and `notes` are sentences, `notes` need no action."""

    active: ActiveState
    workers: tuple[WorkerState, ...]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def to_raw(self) -> dict[str, Any]:
        """Return the status as values for JSON."""
        return {
            "active": {**asdict(self.active), "releases": self.active.releases},
            "workers": [
                {**asdict(worker), "is_on_active": _mismatch(worker, self.active) is None} for worker in self.workers
            ],
            "problems": list(self.problems),
            "notes": list(self.notes),
        }


def read_status(store: ActiveStore) -> ServiceStatus:
    """Read the store and the states of the live workers; damaged files become problems, never exceptions."""
    reading = store.read()
    workers = tuple(live_workers(store.folder))
    problems, notes = [], []
    if reading.damage is not None:
        problems.append(
            f"{reading.damage}: the last good state is shown, and the next promote or rollback rewrites the file."
        )
    if damaged := store.history().damaged_lines:
        notes.append(f"{damaged} line(s) of the journal cannot be read: rollback skips them.")
    for worker in workers:
        mismatch = _mismatch(worker, reading.state)
        if mismatch is not None:
            problems.append(f"Worker {worker.pid} is not on the active state: {mismatch}.")
    return ServiceStatus(reading.state, workers, tuple(problems), tuple(notes))


def _mismatch(worker: WorkerState, active: ActiveState) -> str | None:
    """Return why a worker is not on the active state; None if it is."""
    if worker.error is not None:
        return worker.error.rstrip(".")
    if worker.phase in ("loading", "failed"):
        return f"it is {worker.phase}"
    if worker.sequence != active.sequence:
        return f"it follows change {worker.sequence}, but change {active.sequence} is active"
    wanted: Mapping[str, str] = active.releases
    for runner, release in wanted.items():
        if worker.serves.get(runner) != release:
            return f"its runner {runner} serves {worker.serves.get(runner) or 'the own model'}, not {release}"
    return None


@dataclass(frozen=True, slots=True)
class Standing:
    """State that decides about the releases of a service.

    `active` are the active releases, `aside` those that were put aside and the reasons, and `models` the fingerprints
    of the live workers' own models, by runner.
    """

    active: frozenset[str]
    aside: Mapping[str, str]
    models: Mapping[str, set[str]]

    def marks_of(self, release: Release) -> list[str]:
        """Return the remarks on a release: active, put aside, without a fingerprint, made from another model."""
        marks = ["active"] if release.name in self.active else []
        if release.name in self.aside:
            marks.append(f"put aside: {self.aside[release.name]}")
        models = self.models.get(release.runner)
        if release.model_fingerprint is None:
            marks.append(
                f"without the fingerprint of its model, so not served: make a new release with {release.renewal}"
            )
        elif models and release.model_fingerprint not in models:
            marks.append("made from another model than the running server's")
        return marks


def read_standing(store: ActiveStore) -> Standing:
    """Read the standing of a service's releases from its store and its live workers."""
    return Standing(
        active=frozenset(store.read().state.releases.values()),
        aside=store.history().aside,
        models=models_of(live_workers(store.folder)),
    )
