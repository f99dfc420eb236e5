"""Percentiles with bounds from order statistics, without any assumption about the distribution.

The rule is that of MLPerf's LoadGen for stopping early (`loadgen/early_stopping.cc`, tolerance 0): a system that just
misses a bound on a percentile would have met the bound with a probability of 1 - confidence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import MeasurementError

_CONFIDENCE = 0.99
# LoadGen lets no bound depend on the largest sample alone.
_MIN_ABOVE = 1


@dataclass(frozen=True, slots=True)
class PercentileBounds:
    """A percentile of `n` samples by nearest rank, and one-sided bounds that each hold with `confidence`.

    `low` is None if even the smallest sample is not a lower bound.
    """

    percentile: float
    value: float
    low: float | None
    high: float
    n: int
    confidence: float


def bound_percentile(samples: ArrayLike, percentile: float, confidence: float = _CONFIDENCE) -> PercentileBounds:
    """Bound a percentile of the distribution from which the samples are drawn independently.

    Args:
        samples: `(n,)`, finite, in any order and unit.
        percentile: above 0 and below 100.
        confidence: the confidence of each bound by itself.

    Raises:
        MeasurementError: the samples are too few, or are not finite numbers.
    """
    values = np.sort(np.asarray(samples, dtype=np.float64))
    needed = min_samples(percentile, confidence)
    if values.ndim != 1 or len(values) < needed:
        raise MeasurementError(f"p{percentile:g} of {values.size} samples has no bound: it needs {needed}.")
    if not np.isfinite(values).all():
        raise MeasurementError("Samples must be finite numbers: one is NaN or infinite.")
    n = len(values)
    # LoadGen's own choice; the next smaller sample would do as well.
    above = _largest_count(n, 1 - percentile / 100, 1 - confidence)
    below = _largest_count(n, percentile / 100, 1 - confidence)
    return PercentileBounds(
        percentile,
        _nearest_rank(values, percentile),
        float(values[below]) if below >= 0 else None,
        float(values[n - above]),
        n,
        confidence,
    )


def min_samples(percentile: float, confidence: float = _CONFIDENCE) -> int:
    """Return how many samples an upper bound of a percentile needs: 662 for p99 at 99 %.

    Raises:
        MeasurementError: the percentile or the confidence is out of range.
    """
    if not (0 < percentile < 100 and 0 < confidence < 1):
        raise MeasurementError(
            f"p{percentile:g} with a confidence of {confidence:g} cannot be bounded: give a percentile between 0 and "
            "100, and a confidence between 0 and 1."
        )
    few, enough = 0, 2
    while not _is_enough(enough, percentile, confidence):
        few, enough = enough, enough * 2
    while enough - few > 1:
        middle = (few + enough) // 2
        few, enough = (few, middle) if _is_enough(middle, percentile, confidence) else (middle, enough)
    return enough


def _is_enough(n: int, percentile: float, confidence: float) -> bool:
    return _largest_count(n, 1 - percentile / 100, 1 - confidence) >= _MIN_ABOVE


def _largest_count(n: int, chance: float, error: float) -> int:
    """Return the largest count at or below which a binomial variable of `n` lies with at most `error`; else -1."""
    from scipy.special import bdtr

    none, some = -1, n
    while some - none > 1:
        middle = (none + some) // 2
        none, some = (middle, some) if bdtr(middle, n, chance) <= error else (none, middle)
    return none


def _nearest_rank(values: NDArray[np.float64], percentile: float) -> float:
    return float(np.percentile(values, percentile, method="inverted_cdf"))
