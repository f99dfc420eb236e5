"""A steady load with a check of every response."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from bento_monitor.errors import MeasurementError
from bento_monitor.lab.loadgen import LoadResult, LoadSpec, start_load, summarize

_BODIES = 50
# API -> the input for a number, and the expected output.
_APIS: Mapping[str, tuple[Callable[[int], object], Callable[[int], object]]] = {
    "echo": (lambda x: {"x": x}, lambda x: x + 1),
    "batched": (lambda x: {"xs": [x]}, lambda x: [x + 1]),
}


@dataclass(frozen=True, slots=True)
class Answers:
    """The outcome of a load's requests; `failures_ns` has the planned and the done time of each failed request."""

    requests: int
    failed: int
    changed: int
    failures_ns: tuple[tuple[int, int], ...]
    errors: dict[str, int]


class CheckedLoads:
    """Loads on every API of the service, with a common rate; they end together."""

    def __init__(self, port: int, rate_rps: float, headers: tuple[tuple[str, str], ...], timeout_s: float) -> None:
        self._loads = {
            api: start_load(
                LoadSpec(
                    port=port,
                    path=f"/{api}",
                    bodies=tuple(json.dumps(make(x)).encode() for x in range(_BODIES)),
                    mode="open",
                    rate_rps=rate_rps / len(_APIS),
                    connections=8,
                    keep_every=1,
                    headers=headers,
                    timeout_s=timeout_s,
                )
            )
            for api, (make, _) in _APIS.items()
        }
        self._results: dict[str, LoadResult] = {}

    def stop(self) -> Answers:
        """Stop sending, wait for the sent requests, and check every response."""
        self._results = self._results or {api: load.stop() for api, load in self._loads.items()}
        checked = [_check(api, result) for api, result in self._results.items()]
        errors: dict[str, int] = {}
        for result in self._results.values():
            for kind, count in result.errors.items():
                errors[kind] = errors.get(kind, 0) + count
        return Answers(
            requests=sum(each.requests for each in checked),
            failed=sum(each.failed for each in checked),
            changed=sum(each.changed for each in checked),
            failures_ns=tuple(pair for each in checked for pair in each.failures_ns),
            errors=errors,
        )

    def p99_ms(self, begin_ns: int, end_ns: int) -> float | None:
        """Return the p99 of the requests to `echo` between two times of CLOCK_MONOTONIC; call `stop` before."""
        try:
            return summarize(self._results["echo"], begin_ns, end_ns).p99_ms
        except MeasurementError:
            return None

    def kill(self) -> None:
        """Kill the loads that still run."""
        for load in self._loads.values():
            load.kill()


@contextmanager
def checked_loads(
    port: int, rate_rps: float, *, headers: tuple[tuple[str, str], ...] = (), timeout_s: float = 10.0
) -> Iterator[CheckedLoads]:
    """Load every API until the block ends, or `stop` is called."""
    loads = CheckedLoads(port, rate_rps, headers, timeout_s)
    try:
        yield loads
    finally:
        loads.kill()


def _check(api: str, result: LoadResult) -> Answers:
    _, answer_of = _APIS[api]
    is_failed = (result.status < 200) | (result.status >= 300)
    changed = sum(
        json.loads(body) != answer_of(int(result.body_index[row]))
        for row, body in result.responses.items()
        if not is_failed[row]
    )
    rows = np.flatnonzero(is_failed).tolist()
    failures = tuple((int(result.planned_ns[row]), int(result.done_ns[row])) for row in rows)
    return Answers(len(result.status), len(rows), changed, failures, {})
