"""Recording one row per request while a load runs."""

from __future__ import annotations

import time
from array import array
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from ...machine.cpu_time import MachineTime
from .result import LoadResult


class Recorder:
    """Adds a row when a request is planned, and fills it in when the request is sent and when it is done."""

    def __init__(self, order: NDArray[np.int64], keep_every: int) -> None:
        self.planned = 0
        self.done = 0
        self._order: list[int] = order.tolist()
        self._keep_every = keep_every
        self._body_index, self._planned_ns, self._dispatched_ns = array("q"), array("q"), array("q")
        self._sent_ns, self._done_ns, self._status = array("q"), array("q"), array("q")
        self._responses: dict[int, bytes] = {}
        self._errors: Counter[str] = Counter()

    def plan(self, planned_ns: int) -> int:
        """Add a request and return its row."""
        request = self.planned
        self.planned += 1
        self._body_index.append(self._order[request % len(self._order)])
        self._planned_ns.append(planned_ns)
        self._dispatched_ns.append(time.monotonic_ns())
        self._sent_ns.append(0)
        self._done_ns.append(0)
        self._status.append(0)
        return request

    def body_of(self, request: int) -> int:
        """Return the index of the body that a request sends."""
        return self._body_index[request]

    def is_kept(self, request: int) -> bool:
        """Whether the response to a request is kept."""
        return self._keep_every > 0 and request % self._keep_every == 0

    def sent(self, request: int, at_ns: int) -> None:
        """Record that the request's bytes were passed to the socket."""
        self._sent_ns[request] = at_ns

    def answered(self, request: int, status: int, body: bytes | None) -> None:
        """Record that the last byte of the response has arrived."""
        self._done_ns[request] = time.monotonic_ns()
        self._status[request] = status
        self.done += 1
        if body is not None:
            self._responses[request] = body

    def failed(self, request: int, kind: str) -> None:
        """Record that no response will arrive."""
        self._done_ns[request] = time.monotonic_ns()
        self._errors[kind] += 1
        self.done += 1

    def result(
        self, *, started_ns: int, started_wall_ns: int, warmup_s: float, end_ns: int, cpu_s: float, machine: MachineTime
    ) -> LoadResult:
        """Return everything that was recorded; the window goes from the end of the warm-up to `end_ns`."""
        return LoadResult(
            body_index=np.array(self._body_index, dtype=np.int64),
            planned_ns=np.array(self._planned_ns, dtype=np.int64),
            dispatched_ns=np.array(self._dispatched_ns, dtype=np.int64),
            sent_ns=np.array(self._sent_ns, dtype=np.int64),
            done_ns=np.array(self._done_ns, dtype=np.int64),
            status=np.array(self._status, dtype=np.int64),
            responses=self._responses,
            errors=dict(self._errors),
            started_ns=started_ns,
            started_wall_ns=started_wall_ns,
            window_start_ns=min(started_ns + round(warmup_s * 1e9), end_ns),
            window_end_ns=end_ns,
            cpu_s=cpu_s,
            machine=machine,
        )

    @property
    def last_done_ns(self) -> int:
        """The time at which the last request was answered or failed."""
        return max(self._done_ns, default=0)
