"""A paired comparison that may be evaluated, and stopped, at any time (anytime-valid).

The t-test's likelihood ratio with a normal prior on the effect in units of a pair's noise is a test martingale under
the right Haar prior of the noise (Lai, "On confidence sequences", Annals of Statistics 1976; Wang and Ramdas,
"Anytime-valid t-tests and confidence sequences for Gaussian means with unknown variance", Sequential Analysis 2025):
without an effect, the chance that it ever reaches 1/alpha is at most alpha. The order within each pair must be drawn
at random: slow changes of the machine then affect both arms equally, and differences are independent of each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import MeasurementError

ALPHA = 0.05
ZONE_RATIO = 1.03
"""The indifference zone: two speeds within this ratio count as equivalent."""

# Variance of the prior, for effects of half a pair's noise. Its intervals are within 6 % of the narrowest possible ones
# from 10 to 300 pairs.
_PRIOR_VARIANCE = 0.25
_MIN_PAIRS = 5


class Verdict(Enum):
    """Result of a comparison for the candidate."""

    FASTER = "faster"
    SLOWER = "slower"
    EQUIVALENT = "equivalent"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True)
class SequentialComparison:
    """The ratio of two speeds after `n` pairs, and an interval that is valid at any stopping time.

    The verdict is `EQUIVALENT` if the whole interval lies within the indifference zone, even if it excludes 1.
    """

    verdict: Verdict
    ratio: float
    low: float
    high: float
    n: int
    zone_ratio: float


def compare_so_far(
    log_ratios: Sequence[float], *, zone_ratio: float = ZONE_RATIO, alpha: float = ALPHA
) -> SequentialComparison:
    """Compare the pairs measured so far; measuring may stop at the first verdict, or continue.

    Args:
        log_ratios: log of candidate over baseline, one per pair, in the order of measuring.
        zone_ratio: ratio of the indifference zone, above 1.
        alpha: chance that the interval is ever wrong, at any number of pairs.

    Raises:
        MeasurementError: a log-ratio is not finite, or `zone_ratio` is not a finite number above 1.
    """
    if not (math.isfinite(zone_ratio) and zone_ratio > 1):
        raise MeasurementError(f"The indifference zone is {zone_ratio:g}: give a finite ratio above 1, as 1.03.")
    if not log_ratios:
        return SequentialComparison(Verdict.CANNOT_TELL, 1.0, 0.0, math.inf, 0, zone_ratio)
    lows, highs = anytime_intervals(log_ratios, alpha=alpha)
    low, high = float(lows[-1]), float(highs[-1])
    return SequentialComparison(
        _verdict(low, high, math.log(zone_ratio)),
        math.exp(math.fsum(log_ratios) / len(log_ratios)),
        math.exp(low),
        math.exp(high),
        len(log_ratios),
        zone_ratio,
    )


def anytime_intervals(
    log_ratios: ArrayLike, *, alpha: float = ALPHA
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute the interval of the mean log-ratio after each pair; with fewer than 5 pairs it is infinite.

    Args:
        log_ratios: `(pairs,)`, or `(runs, pairs)` for many comparisons at once.
        alpha: chance that any of the intervals misses the mean.

    Returns:
        Lower and upper ends, of the shape of `log_ratios`.

    Raises:
        MeasurementError: a log-ratio is not finite.
    """
    values = np.asarray(log_ratios, dtype=np.float64)
    if not np.isfinite(values).all():
        raise MeasurementError("The ratio of two blocks is not finite: one of them measured nothing.")
    n = np.arange(1, values.shape[-1] + 1)
    means = np.cumsum(values, axis=-1) / n
    squares = np.cumsum(values**2, axis=-1) - n * means**2
    deviations = np.sqrt(np.maximum(squares, 0.0) / np.maximum(n - 1, 1))
    with np.errstate(invalid="ignore"):  # infinite times a deviation of 0
        halves = half_widths(n, alpha) * deviations
    halves[..., : _MIN_PAIRS - 1] = np.inf
    return means - halves, means + halves


def half_widths(n: NDArray[np.int64], alpha: float = ALPHA) -> NDArray[np.float64]:
    """Return half of the interval's width after `n` pairs, in standard deviations of a pair; infinite below 5 pairs.

    The likelihood ratio is `r**-0.5 * ((1 + x) / (1 + x / r))**(n / 2)` with `x = t**2 / (n - 1)`, `r = 1 + n * prior`.
    """
    r = 1 + n * _PRIOR_VARIANCE
    bound = np.exp(2 / n * (0.5 * np.log(r) - np.log(alpha)))
    is_bounded = (bound < r) & (n >= _MIN_PAIRS)
    x = np.where(is_bounded, (bound - 1) / np.where(is_bounded, 1 - bound / r, 1.0), np.inf)
    return np.sqrt(x * np.maximum(n - 1, 1) / n)


def smallest_ratio(sd: float, pairs: int, *, power: float = 0.9, alpha: float = ALPHA) -> float:
    """Return the smallest speed-up that `pairs` pairs with noise `sd` detect with a probability of `power`.

    Raises:
        MeasurementError: there are too few pairs for a finite interval.
    """
    from scipy.special import ndtri

    half = float(half_widths(np.array([pairs]), alpha)[0])
    if not math.isfinite(half):
        raise MeasurementError(f"{pairs} pairs are too few for a finite interval: measure more pairs.")
    return math.exp(sd * (half + float(ndtri(power)) / math.sqrt(pairs)))


def _verdict(low: float, high: float, zone: float) -> Verdict:
    if -zone < low and high < zone:
        return Verdict.EQUIVALENT
    if low > 0:
        return Verdict.FASTER
    if high < 0:
        return Verdict.SLOWER
    return Verdict.CANNOT_TELL
