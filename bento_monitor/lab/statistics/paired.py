"""Comparison of two arms by pairs of blocks that were measured side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from ...errors import MeasurementError

_MIN_PAIRS = 3
_CONFIDENCE = 0.95
_POWER = 0.9


@dataclass(frozen=True, slots=True)
class Comparison:
    """The ratio of two figures with its interval, from `n` pairs.

    The confidence of the interval is 95 % unless another was requested. `sd` is the standard deviation of the
    log-ratios.
    """

    ratio: float
    low: float
    high: float
    n: int
    sd: float

    @property
    def ci95(self) -> tuple[float, float]:
        """The interval as a pair; its confidence is 95 % only if no other was requested."""
        return self.low, self.high

    @classmethod
    def from_log_ratios(cls, log_ratios: Sequence[float], *, confidence: float = _CONFIDENCE) -> Self:
        """Return the geometric mean of ratios and Student's t interval around it.

        Logarithms put a speed-up and its inverse at the same distance from 1, and make a block's noise additive.

        Raises:
            MeasurementError: there are fewer than 3 ratios, or a ratio is not finite.
        """
        from scipy.special import stdtrit

        values = np.asarray(log_ratios, dtype=np.float64)
        if values.ndim != 1 or len(values) < _MIN_PAIRS:
            raise MeasurementError(f"{values.size} pairs give no interval: measure at least {_MIN_PAIRS}.")
        if not np.isfinite(values).all():
            raise MeasurementError("A ratio of two blocks is not finite: one of them measured nothing.")
        mean, sd = float(values.mean()), float(values.std(ddof=1))
        half = float(stdtrit(len(values) - 1, (1 + confidence) / 2)) * sd / math.sqrt(len(values))
        return cls(math.exp(mean), math.exp(mean - half), math.exp(mean + half), len(values), sd)


def smallest_paired_ratio(sd: float, pairs: int, *, power: float = _POWER) -> float:
    """Return the smallest speed-up whose 95 % interval lies above 1 with a probability of `power`.

    `sd` is the noise of a pair.

    Raises:
        MeasurementError: there are fewer than 3 pairs.
    """
    from scipy.special import nctdtrinc, stdtrit

    if pairs < _MIN_PAIRS:
        raise MeasurementError(f"{pairs} pairs give no interval: measure at least {_MIN_PAIRS}.")
    critical = float(stdtrit(pairs - 1, (1 + _CONFIDENCE) / 2))
    return math.exp(sd * float(nctdtrinc(pairs - 1, 1 - power, critical)) / math.sqrt(pairs))


def compare_paired(
    candidate: Sequence[float], baseline: Sequence[float], *, confidence: float = _CONFIDENCE
) -> Comparison:
    """Compare figures of blocks: element `i` of both was measured in the same block.

    Raises:
        MeasurementError: the two differ in length, are fewer than 3 pairs, or a rate is not above 0 and finite.
    """
    if len(candidate) != len(baseline):
        raise MeasurementError(
            f"{len(candidate)} and {len(baseline)} block rates are not pairs: measure both arms in each block."
        )
    for rate in (*candidate, *baseline):
        if not (math.isfinite(rate) and rate > 0):
            raise MeasurementError(f"A block's rate is {rate}: only rates above 0 can be compared.")
    pairs = zip(candidate, baseline, strict=True)
    return Comparison.from_log_ratios([math.log(left / right) for left, right in pairs], confidence=confidence)
