"""The highest rate at which a server meets an SLO, by bisection."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ...errors import MeasurementError
from ..statistics.percentiles import bound_percentile
from .child import run_load
from .load_spec import LoadSpec
from .result import LoadResult
from .slo import Slo

_TOLERANCE_RATIO, _COARSE_RATIO = 1.05, 1.1
# Shares of the capacity: the search begins at the first, or up to the second; at the third, the queue grows.
_LOWEST_SHARE, _HIGH_SHARE, _HIGHEST_SHARE = 0.05, 0.5, 1.1
_LONGEST_S = 60.0
# The latency of a failed request: above any limit, but finite.
_NEVER_MS = float(np.finfo(np.float64).max)


@dataclass(frozen=True, slots=True)
class RateTrial:
    """One rate that was tried: the percentile and its upper bound, each None if it falls on a failed request."""

    rate_rps: float
    value_ms: float | None
    high_ms: float | None
    failed: int
    is_kept: bool


@dataclass(frozen=True, slots=True)
class SloSearch:
    """The highest rate at which the SLO was shown to be met, or None, and all trials in order."""

    slo: Slo
    rate_rps: float | None
    trials: tuple[RateTrial, ...]


def find_highest_rate(
    slo: Slo,
    run: Callable[[float], LoadResult],
    *,
    low_rps: float,
    high_rps: float,
    tolerance_ratio: float = _TOLERANCE_RATIO,
) -> SloSearch:
    """Halve the range between two rates, by their ratio, until the range is narrow.

    Args:
        slo: the SLO to meet.
        run: runs an open load at a rate, for at least `slo.least_seconds` of that rate.
        low_rps: a rate at which the SLO should be met; if it is not, no rate is found.
        high_rps: a rate at which the SLO is not met, such as the capacity of a closed load.
        tolerance_ratio: the search ends when the ratio of the lowest rate that failed to the highest rate that met the
            SLO is at most this.

    Raises:
        MeasurementError: the range or the tolerance is invalid, or a load was too short.
    """
    if not (0 < low_rps < high_rps < math.inf and tolerance_ratio > 1):
        raise MeasurementError(
            f"No rate can be found from {low_rps:g} to {high_rps:g} within a ratio of {tolerance_ratio:g}: give two "
            "rates, the lower first, and a ratio above 1."
        )
    trials = [judge_rate(slo, low_rps, run(low_rps))]
    if not trials[0].is_kept:
        return SloSearch(slo, None, tuple(trials))
    kept, broken = low_rps, high_rps
    while broken / kept > tolerance_ratio:
        rate_rps = math.sqrt(kept * broken)
        trial = judge_rate(slo, rate_rps, run(rate_rps))
        trials.append(trial)
        kept, broken = (rate_rps, broken) if trial.is_kept else (kept, rate_rps)
    return SloSearch(slo, kept, tuple(trials))


def find_rate_below(slo: Slo, load: LoadSpec, capacity_rps: float) -> SloSearch:
    """Search for the highest rate below a server's capacity at which it meets an SLO, within 10 %.

    The open load of each rate is the given one, but long enough for the bound of the percentile.

    Raises:
        MeasurementError: a load could not be generated, or was too short.
    """

    def run(rate_rps: float) -> LoadResult:
        seconds = max(load.duration_s or 0.0, slo.least_seconds(rate_rps))
        return run_load(replace(load, mode="open", rate_rps=rate_rps, duration_s=seconds))

    return find_highest_rate(
        slo,
        run,
        low_rps=lowest_rate_rps(slo, capacity_rps),
        high_rps=_HIGHEST_SHARE * capacity_rps,
        tolerance_ratio=_COARSE_RATIO,
    )


def lowest_rate_rps(slo: Slo, capacity_rps: float) -> float:
    """Return the rate from which to search up to a capacity: 5 % of it, or up to 50 % where that takes over a minute.

    A load must have enough requests for the percentile's bound, and lasts the longer, the lower its rate is.
    """
    in_a_minute_rps = slo.least_seconds(1.0) / _LONGEST_S
    return capacity_rps * max(_LOWEST_SHARE, min(_HIGH_SHARE, in_a_minute_rps / capacity_rps))


def judge_rate(slo: Slo, rate_rps: float, result: LoadResult) -> RateTrial:
    """Judge whether a load shows that the SLO is met: the percentile's upper bound must be within the limit.

    Raises:
        MeasurementError: the load has too few requests for a bound.
    """
    is_ok = result.is_ok[result.is_in_window]
    latency_ms = np.where(is_ok, result.latency_ns[result.is_in_window] / 1e6, _NEVER_MS)
    bounds = bound_percentile(latency_ms, slo.percentile)
    value_ms, high_ms = (None if each == _NEVER_MS else each for each in (bounds.value, bounds.high))
    return RateTrial(rate_rps, value_ms, high_ms, int((~is_ok).sum()), bounds.high <= slo.limit_ms)
