"""What changed between two profiles, load by load.

They were measured one after the other, so what the machine did in between is in every difference and in no interval.
A difference that decides something is measured in interleaved blocks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .profile_record import LoadPoint, Percentile, Profile

_CONFIDENCE = 0.95
_LEAST_BINS = 4


@dataclass(frozen=True, slots=True)
class Change:
    """One figure of one load: its values, their ratio (after over before), and its interval, if there is one.

    `is_sure` where the interval excludes 1, or the bounds of the two percentiles do not overlap.
    """

    load: str
    figure: str
    before: float
    after: float
    ratio: float
    low: float | None
    high: float | None
    is_sure: bool


def compare_profiles(before: Profile, after: Profile) -> list[Change]:
    """Every figure of the loads that both have: the same clients, or the same share of each one's capacity."""
    found = []
    for point in before.points:
        other = next((each for each in after.points if _key(each) == _key(point)), None)
        if other is not None:
            found += _changes(_name(point), point, other)
    return found


def _changes(name: str, before: LoadPoint, after: LoadPoint) -> list[Change]:
    found = []
    if before.offered_rps is None:  # else it is what was offered
        found.append(_rate_change(name, before, after))
    pairs = zip(before.latencies, after.latencies, strict=True)
    found += [_percentile_change(name, left, right) for left, right in pairs if left.percentile == right.percentile]
    if before.server is not None and after.server is not None:
        left, right = before.server.cpu_us_per_request, after.server.cpu_us_per_request
        found.append(Change(name, "CPU us/request", left, right, right / left, None, None, is_sure=False))
    return found


def _rate_change(name: str, before: LoadPoint, after: LoadPoint) -> Change:
    left, right = before.throughput_rps, after.throughput_rps
    low, high = _ratio_interval(_logs(before.rates_rps), _logs(after.rates_rps))
    is_sure = low is not None and high is not None and not low <= 1 <= high
    return Change(name, "requests/s", left, right, right / left, low, high, is_sure)


def _percentile_change(name: str, before: Percentile, after: Percentile) -> Change:
    low = high = None
    if before.low_ms and before.high_ms and after.low_ms and after.high_ms:
        low, high = after.low_ms / before.high_ms, after.high_ms / before.low_ms
    is_sure = low is not None and high is not None and not low <= 1 <= high
    ratio = after.value_ms / before.value_ms
    return Change(name, f"p{before.percentile:g} ms", before.value_ms, after.value_ms, ratio, low, high, is_sure)


def _ratio_interval(before: NDArray[np.float64], after: NDArray[np.float64]) -> tuple[float, float] | tuple[None, None]:
    """Welch's interval of the ratio of geometric means."""
    from scipy.special import stdtrit

    if min(len(before), len(after)) < _LEAST_BINS:
        return None, None
    errors = [values.var(ddof=1) / len(values) for values in (before, after)]
    difference, error = float(after.mean() - before.mean()), math.fsum(errors)
    if error == 0:
        return math.exp(difference), math.exp(difference)
    freedom = error**2 / math.fsum(
        each**2 / (len(values) - 1) for each, values in zip(errors, (before, after), strict=True)
    )
    half = float(stdtrit(freedom, (1 + _CONFIDENCE) / 2)) * math.sqrt(error)
    return math.exp(difference - half), math.exp(difference + half)


def _logs(rates_rps: Sequence[float]) -> NDArray[np.float64]:
    values = np.asarray(rates_rps, dtype=np.float64)
    return np.log(values[values > 0])


def _key(point: LoadPoint) -> tuple[int, float | None]:
    return point.connections if point.share is None else 0, point.share


def _name(point: LoadPoint) -> str:
    return point.name if point.share is None else f"{point.share:.0%} of its capacity"
