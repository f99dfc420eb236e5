"""The record of a load: one row per request, nothing left out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...machine.cpu_time import MachineTime
from ...resilience.atomic_files import write_atomic
from .packing import pack, unpack, write_arrays

_COLUMNS = ("body_index", "planned_ns", "dispatched_ns", "sent_ns", "done_ns", "status")
_SCALARS = ("started_ns", "started_wall_ns", "window_start_ns", "window_end_ns", "cpu_s")


@dataclass(frozen=True, slots=True)
class LoadResult:
    """Every request of a load, in planned order. Columns are `(requests,)` int64.

    Times are of CLOCK_MONOTONIC, which is the same in every process of the machine; `started_wall_ns` is the wall clock
    at `started_ns`. `dispatched_ns` is when the client got to a planned request; after that, the request waits for a
    connection, for which the server is responsible. `status` is 0 if a socket failed or the time ran out; `sent_ns` is
    0 if no connection was made.
    `responses` maps the row of a request to the response's body, for kept responses; `errors` counts the failures with
    status 0 by kind. `cpu_s` is the CPU time that the client itself used while it sent and waited, and `machine` the
    CPU time of the whole machine.
    """

    body_index: NDArray[np.int64]
    planned_ns: NDArray[np.int64]
    dispatched_ns: NDArray[np.int64]
    sent_ns: NDArray[np.int64]
    done_ns: NDArray[np.int64]
    status: NDArray[np.int64]
    responses: Mapping[int, bytes]
    errors: Mapping[str, int]
    started_ns: int
    started_wall_ns: int
    window_start_ns: int
    window_end_ns: int
    cpu_s: float
    machine: MachineTime

    @property
    def is_ok(self) -> NDArray[np.bool_]:
        """Which requests were answered with 2xx."""
        found: NDArray[np.bool_] = self.status // 100 == 2
        return found

    @property
    def is_in_window(self) -> NDArray[np.bool_]:
        """Which requests were planned in the load's window."""
        return (self.planned_ns >= self.window_start_ns) & (self.planned_ns < self.window_end_ns)

    @property
    def latency_ns(self) -> NDArray[np.int64]:
        """The latency of each request, from its planned time."""
        return self.done_ns - self.planned_ns

    @property
    def failures(self) -> dict[str, int]:
        """The number of failed requests, by HTTP status or by kind."""
        statuses, counts = np.unique(self.status[(self.status > 0) & ~self.is_ok], return_counts=True)
        found = {f"HTTP {status}": int(count) for status, count in zip(statuses, counts, strict=True)}
        return found | dict(self.errors)

    def save(self, folder: Path) -> None:
        """Write `load.npz`, then `load.json`; if `load.json` exists, the result is complete."""
        data, ends = pack(list(self.responses.values()))
        kept = np.array(list(self.responses), dtype=np.int64)
        columns = {name: getattr(self, name) for name in _COLUMNS}
        write_arrays(folder / "load.npz", {**columns, "kept": kept, "kept_data": data, "kept_ends": ends})
        scalars = {name: getattr(self, name) for name in _SCALARS}
        write_atomic(
            folder / "load.json", json.dumps(scalars | {"errors": dict(self.errors), "machine": asdict(self.machine)})
        )

    @classmethod
    def load(cls, folder: Path) -> LoadResult:
        """Read a result that `save` wrote."""
        scalars = json.loads((folder / "load.json").read_text())
        scalars["machine"] = MachineTime(**scalars["machine"])
        with np.load(folder / "load.npz", allow_pickle=False) as arrays:
            bodies = unpack(arrays["kept_data"], arrays["kept_ends"])
            responses = dict(zip(arrays["kept"].tolist(), bodies, strict=True))
            return cls(**{name: arrays[name] for name in _COLUMNS}, responses=responses, **scalars)
