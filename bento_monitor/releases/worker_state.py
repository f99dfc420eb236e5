"""What each worker says of itself: a small file a worker, read by `promote`, `status` and the workers that come after
it.
"""

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
"""A server: the process id of its supervisor, and its identity."""


@dataclass(frozen=True, slots=True)
class WorkerState:
    """One worker: which move it has followed, and what each of its runners serves.

    In `serves` None is the service's own model, which runs in the place of the releases in `refused`.
    In "probation" it serves a new release, and watches it for failures.
    `loading` are the releases that it is building, or has just begun to serve: if it dies of it, they are at fault.
    `error` says why the move of `sequence` could not be followed, and `reason` the kind of that in a word; the worker
    then serves what `serves` says. `fingerprints` are those of the service's own models, as far as they are known.
    `fallbacks` are calls that own models ran in a release's place, by release and reason, told once a second.
    `swap_ms` is the time from seeing the move to serving it.
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
        """The server that it belongs to."""
        return self.server_pid, self.server_identity

    @property
    def is_alive(self) -> bool:
        """Whether its process is there."""
        return is_alive(self.pid, self.identity)


def is_server_alive(server: ServerKey) -> bool:
    """Whether a server's supervisor is there."""
    return is_alive(*server)


def write_worker_state(service_folder: Path, state: WorkerState) -> None:
    """Write a worker's state whole.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    write_atomic(_state_path(service_folder, state), json.dumps(asdict(state)) + "\n")


def remove_worker_state(service_folder: Path, state: WorkerState) -> None:
    """Forget a worker that has stopped."""
    with suppress(OSError):
        _state_path(service_folder, state).unlink(missing_ok=True)


def is_written(service_folder: Path, state: WorkerState) -> bool:
    """Whether the file of a worker's state is there."""
    return _state_path(service_folder, state).exists()


def live_workers(service_folder: Path) -> list[WorkerState]:
    """The states of the workers that are alive."""
    return [state for state in _read_all(service_folder) if state.is_alive]


def dead_workers(service_folder: Path) -> list[WorkerState]:
    """What workers that were killed have left; one that stops in order leaves nothing."""
    return [state for state in _read_all(service_folder) if not state.is_alive]


def worker_counts(service_folder: Path) -> dict[ServerKey, int]:
    """How many live workers each running server of the service has."""
    return dict(Counter(state.server for state in live_workers(service_folder)))


def models_of(workers: Iterable[WorkerState]) -> dict[str, set[str]]:
    """The fingerprints of the models that workers have, by runner; those that are not known yet are left out."""
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
    """Raise TypeError where a field that is worked with is of another kind: somebody else has written the file."""
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
        raise TypeError("a field is not of its kind")


def _state_path(service_folder: Path, state: WorkerState) -> Path:
    # With its identity, since in a container a worker and the one that takes its place may have one id.
    return service_folder / "workers" / f"{state.pid}-{state.identity}.json"
