"""Whether the machine disturbed a lone client or an open load, judged at the percentile that is compared."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bento_monitor.lab.loadgen import LoadResult
from bento_monitor.lab.loadgen.validity import MAX_STEAL_RATIO

from .blocks import BASELINE

_MIN_LAG_NS = 200_000
_ALONE_LAG_RATIO, _HALF_LOAD_LAG_RATIO = 0.05, 0.50


def harm_fault(alone: Mapping[str, LoadResult], half_load: Mapping[str, LoadResult], percentile: int) -> str | None:
    """Return why a block cannot be used, or None.

    The client's lag, its delay in sending a request, must be a small part of the baseline's latency at the percentile
    that is compared. A server that computes in bursts briefly keeps the client off its processor, which the client's
    median does not show. Latency is counted from the dispatch, so that the lag is only noise in it. A lag of over half
    of the open load's `percentile` would dominate it.
    """
    return _fault(alone, 50, _ALONE_LAG_RATIO) or _fault(half_load, percentile, _HALF_LOAD_LAG_RATIO)


def _fault(results: Mapping[str, LoadResult], percentile: float, lag_ratio: float) -> str | None:
    baseline = results[BASELINE]
    latency_ns = _percentile(baseline.latency_ns[baseline.is_ok], percentile)
    for result in results.values():
        if result.machine.steal_ratio > MAX_STEAL_RATIO:
            return f"the host stole {result.machine.steal_ratio:.1%} of the processors' time"
        lag_ns = _percentile(result.dispatched_ns - result.planned_ns, percentile)
        if lag_ns > max(_MIN_LAG_NS, lag_ratio * latency_ns):
            return f"the client was {lag_ns / 1e6:.2f} ms late (p{percentile:g})"
    return None


def _percentile(values: np.ndarray[tuple[int], np.dtype[np.int64]], percentile: float) -> float:
    return float(np.percentile(values, percentile, method="inverted_cdf")) if len(values) else 0.0
