"""State files of workers: one small file per worker, read by `promote`, `status` and workers that start later."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..resilience.atomic_files import write_atomic
from ..resilience.liveness import is_alive

WorkerPhase = Literal["serving", "loading", "probation", "failed"]
ServerKey = tuple[int, str]
"""Key of a server: the process id and the identity of its supervisor."""


@dataclass(frozen=True, slots=True)
class WorkerState:
    """State of one worker: the change that it follows, and what each of its runners serves.

    In `serves`, None is the service's own model, which also runs instead of the releases in `refused`.
    In the phase "probation" the worker serves a new release, and watches it for failures.
    `loading` are the releases that the worker is building or has just begun to serve. If the worker dies, they are the
    suspected cause.
    `error` says why the worker could not follow the change `sequence`, and `reason` is the cause in one word; the
    worker then serves what `serves` says.
    `fingerprints` are the known fingerprints of the service's own models.
    `fallbacks` counts calls that own models ran instead of a release, by release and reason, reported once per second.
    `swap_ms` is the time from seeing the change to serving it.
    """

    pid: int
    identity: str
    server_pid: int
    server_identity: str
    sequence: int
    phase: WorkerPhase
    serves: Mapping[str, str | None] = field(default_factory=dict)
    refused: tuple[str, ...] = ()
    loading: tuple[str, ...] = ()
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    fallbacks: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    error: str | None = None
    reason: str | None = None
    swap_ms: float | None = None

    @property
    def server(self) -> ServerKey:
        """Key of the worker's server."""
        return self.server_pid, self.server_identity

    @property
    def is_alive(self) -> bool:
        """Whether the worker's process is running."""
        return is_alive(self.pid, self.identity)


def is_server_alive(server: ServerKey) -> bool:
    """Return whether a server's supervisor is running."""
    return is_alive(*server)


def write_worker_state(service_folder: Path, state: WorkerState) -> None:
    """Write a worker's state atomically.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    write_atomic(_state_path(service_folder, state), json.dumps(asdict(state)) + "\n")


def remove_worker_state(service_folder: Path, state: WorkerState) -> None:
    """Remove the state file of a worker that has stopped."""
    with suppress(OSError):
        _state_path(service_folder, state).unlink(missing_ok=True)


def is_written(service_folder: Path, state: WorkerState) -> bool:
    """Return whether a worker's state file exists."""
    return _state_path(service_folder, state).exists()


def live_workers(service_folder: Path) -> list[WorkerState]:
    """Return the states of live workers."""
    return [state for state in _read_all(service_folder) if state.is_alive]


def dead_workers(service_folder: Path) -> list[WorkerState]:
    """Return the states of killed workers; a worker that stops normally leaves no file."""
    return [state for state in _read_all(service_folder) if not state.is_alive]


def worker_counts(service_folder: Path) -> dict[ServerKey, int]:
    """Return the number of live workers of each running server."""
    return dict(Counter(state.server for state in live_workers(service_folder)))


def models_of(workers: Iterable[WorkerState]) -> dict[str, set[str]]:
    """Return the fingerprints of the workers' models by runner; unknown fingerprints are left out."""
    models: dict[str, set[str]] = {}
    for worker in workers:
        for runner, fingerprint in worker.fingerprints.items():
            models.setdefault(runner, set()).add(fingerprint)
    return models


def _read_all(service_folder: Path) -> Iterator[WorkerState]:
    for path in sorted((service_folder / "workers").glob("[0-9]*.json")):
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            state = WorkerState(**{**raw, "loading": tuple(raw["loading"]), "refused": tuple(raw["refused"])})
            _require_kinds(state)
            yield state


def _require_kinds(state: WorkerState) -> None:
    """Raise TypeError if a used field has a wrong type, because the file was not written by a worker."""
    numbers: list[Any] = [state.pid, state.server_pid, state.sequence]
    texts: list[Any] = [state.identity, state.server_identity, state.phase, *state.loading, *state.refused]
    mappings: list[Any] = [state.serves, state.fingerprints, state.fallbacks, *state.fallbacks.values()]
    optional: list[Any] = [text for text in (state.error, state.reason) if text is not None]
    swap_ms: Any = state.swap_ms
    is_sane = (
        all(type(number) is int for number in numbers)
        and all(isinstance(text, str) for text in (*texts, *optional))
        and all(isinstance(mapping, dict) for mapping in mappings)
        and (swap_ms is None or isinstance(swap_ms, int | float))
        and "/" not in state.identity
    )
    if not is_sane:
        raise TypeError("a field has a wrong type or value")


def _state_path(service_folder: Path, state: WorkerState) -> Path:
    # With its identity, since in a container a worker and its replacement may have the same process id.
    return service_folder / "workers" / f"{state.pid}-{state.identity}.json"
