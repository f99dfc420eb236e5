"""What each worker says of itself: a small file a worker, read by `promote` and `status`."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from ..files import write_atomic
from ..liveness import is_alive

WorkerPhase = Literal["serving", "loading", "probation", "failed"]


@dataclass(frozen=True, slots=True)
class WorkerState:
    """One worker: which move of the pointer it has followed, and what it serves.

    `release` None means the service's own model. In "probation" it serves a new release, and watches it for failures.
    `error` says why the move of `sequence` could not be followed; the worker then goes on with what it served before.
    `swap_ms` is the time from seeing the move to serving it.
    """

    pid: int
    server_pid: int
    started_at_s: float
    sequence: int
    release: str | None
    phase: WorkerPhase
    error: str | None = None
    swap_ms: float | None = None


def _state_path(service_folder: Path, pid: int) -> Path:
    return service_folder / "workers" / f"{pid}.json"


def write_worker_state(service_folder: Path, state: WorkerState) -> None:
    """Write a worker's state whole."""
    write_atomic(_state_path(service_folder, state.pid), json.dumps(asdict(state)) + "\n")


def remove_worker_state(service_folder: Path, pid: int) -> None:
    """Forget a worker that stops."""
    _state_path(service_folder, pid).unlink(missing_ok=True)


def live_workers(service_folder: Path) -> list[WorkerState]:
    """The states of the workers that are alive; files of those that were killed are removed."""
    alive: list[WorkerState] = []
    for path in sorted((service_folder / "workers").glob("[0-9]*.json")):
        try:
            state = WorkerState(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            continue
        if is_alive(state.pid, state.started_at_s):
            alive.append(state)
        else:
            path.unlink(missing_ok=True)
    return alive


def worker_counts(service_folder: Path) -> dict[int, int]:
    """How many live workers each running server of the service has, by the server's process id."""
    return dict(Counter(state.server_pid for state in live_workers(service_folder)))
