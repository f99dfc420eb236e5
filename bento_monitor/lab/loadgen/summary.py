"""The figures of a load, derived from its result alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...errors import MeasurementError
from .result import LoadResult

_NS_PER_S = 1e9
_NS_PER_MS = 1e6


@dataclass(frozen=True, slots=True)
class LoadSummary:
    """The figures of a window, to which the requests planned in that window belong.

    `rps` counts the 2xx answers that arrived in the window, whenever their requests were planned. Latency counts from
    the planned time. The percentiles (nearest rank) are those of requests answered with 2xx; with fewer than 100 of
    them, `p99_ms` is their maximum. `slowest_ms` is that of all requests, failed ones included.
    """

    requests: int
    ok: int
    failed: int
    rps: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    slowest_ms: float


def summarize(result: LoadResult, start_ns: int | None = None, end_ns: int | None = None) -> LoadSummary:
    """Return the figures of a load's own window, or of a window between two times of CLOCK_MONOTONIC.

    Raises:
        MeasurementError: no request of the window was answered with 2xx.
    """
    start = result.window_start_ns if start_ns is None else start_ns
    end = result.window_end_ns if end_ns is None else end_ns
    is_ok = result.is_ok
    is_planned = (result.planned_ns >= start) & (result.planned_ns < end)
    latency_ms = result.latency_ns / _NS_PER_MS
    requests, ok = int(is_planned.sum()), int((is_planned & is_ok).sum())
    if ok == 0:
        seen = ", ".join(f"{count} x {kind}" for kind, count in result.failures.items()) or "none was sent"
        raise MeasurementError(f"None of {requests} requests was answered with 2xx: {seen}.")
    percentiles = np.percentile(latency_ms[is_planned & is_ok], (50, 95, 99), method="inverted_cdf")
    p50, p95, p99 = percentiles.tolist()
    in_window = is_ok & (result.done_ns >= start) & (result.done_ns <= end)
    return LoadSummary(
        requests=requests,
        ok=ok,
        failed=requests - ok,
        rps=float(in_window.sum()) * _NS_PER_S / (end - start),
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        slowest_ms=float(latency_ms[is_planned].max()),
    )
