"""Whether a load is valid: it says nothing about the server if the machine or the client itself was too slow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .result import LoadResult

MAX_STEAL_RATIO = 0.01
_MIN_LAG_NS = 200_000
_LAG_OF_MEDIAN = 0.01
# The share of all CPU time used by server and client above which the client is late because the server computes.
_SATURATED_RATIO = 0.9


@dataclass(frozen=True, slots=True)
class WindowCheck:
    """How late the client was (p99), the share of stolen CPU time, and why the window is discarded, if it is."""

    lag_p99_ns: int
    steal_ratio: float
    fault: str | None


def check_window(result: LoadResult, server_cpu_s: float) -> WindowCheck:
    """Judge a load by what happened around it, never by its own figures.

    Args:
        result: the result of the load.
        server_cpu_s: CPU time of all processes of the server while the load ran.
    """
    steal_ratio = result.machine.steal_ratio
    lags_ns = result.dispatched_ns - result.planned_ns
    lag_p99_ns = int(np.percentile(lags_ns, 99, method="inverted_cdf")) if len(lags_ns) else 0
    used_ratio = (server_cpu_s + result.cpu_s) / max(result.machine.total_s, 1e-9)
    fault = None
    if steal_ratio > MAX_STEAL_RATIO:
        fault = f"{steal_ratio:.1%} of the processors' time was stolen by the host"
    elif lag_p99_ns > _most_lag_ns(result) and used_ratio < _SATURATED_RATIO:
        fault = (
            f"the client was {lag_p99_ns / 1e6:.2f} ms late, although only {used_ratio:.0%} of the machine was in use"
        )
    return WindowCheck(lag_p99_ns, steal_ratio, fault)


def _most_lag_ns(result: LoadResult) -> float:
    if not result.is_ok.any():
        return _MIN_LAG_NS
    median_ns = float(np.median(result.latency_ns[result.is_ok]))
    return max(_MIN_LAG_NS, _LAG_OF_MEDIAN * median_ns)
