"""Comparison of two profiles, load by load.

The two profiles were measured one after the other. Changes of the machine in between affect every difference, and no
interval accounts for them. Measure a difference that matters in interleaved blocks instead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .profile_record import LoadPoint, Percentile, Profile

_CONFIDENCE = 0.95
_MIN_BINS = 4


@dataclass(frozen=True, slots=True)
class Change:
    """One figure of one load: both values, their ratio (after over before), and the interval of the ratio, if known.

    `is_sure` is true if the interval excludes 1, or if the bounds of the two percentiles do not overlap. The interval
    does not account for changes of the machine between the two profiles.
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
    """Return the changes of all figures of the loads that both profiles have.

    Two loads are the same load if they have the same number of clients, or the same share of the capacity of their
    profile. The profiles were measured one after the other: see the note in the module about differences.
    """
    changes = []
    for point in before.points:
        other = next((each for each in after.points if _key(each) == _key(point)), None)
        if other is not None:
            changes += _changes(_name(point), point, other)
    return changes


def _changes(name: str, before: LoadPoint, after: LoadPoint) -> list[Change]:
    found = []
    if before.offered_rps is None:  # otherwise the throughput is the offered rate
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
    """Return Welch's interval of the ratio of geometric means."""
    from scipy.special import stdtrit

    if min(len(before), len(after)) < _MIN_BINS:
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
    return point.name if point.share is None else f"{point.share:.0%} of capacity"
