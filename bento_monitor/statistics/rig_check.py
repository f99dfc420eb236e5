"""What a machine can tell apart just now: the baseline measured against itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import MeasurementError
from .sequential import ALPHA, ZONE_RATIO, Verdict, compare_so_far, half_widths

_POWER = 0.9
_LEAST_PAIRS = 5


@dataclass(frozen=True, slots=True)
class RigCheck:
    """The baseline against itself, over `n` pairs: the ratio with its any-time interval, and the noise of a pair.

    `smallest_ratio` is the smallest speed-up that the sequential test would see from as many pairs, nine times in ten.
    """

    ratio: float
    low: float
    high: float
    n: int
    sd: float
    smallest_ratio: float
    holds: bool

    def require(self) -> None:
        """Refuse a machine on which equal things look different.

        Raises:
            MeasurementError: the test finds a difference beyond the indifference zone where there is none.
        """
        if not self.holds:
            raise MeasurementError(
                f"This machine cannot compare now: the baseline against itself gives a ratio of {self.ratio:.3f} "
                f"[{self.low:.3f}, {self.high:.3f}]. Stop what else runs on it, or measure at another time."
            )


def check_rig(log_ratios: Sequence[float], *, zone_ratio: float = ZONE_RATIO, alpha: float = ALPHA) -> RigCheck:
    """Judge pairs in which both arms are the baseline.

    Raises:
        MeasurementError: there are fewer than 5 pairs, or a log-ratio is not finite.
    """
    if len(log_ratios) < _LEAST_PAIRS:
        raise MeasurementError(f"{len(log_ratios)} pairs say nothing of a machine: measure at least {_LEAST_PAIRS}.")
    found = compare_so_far(log_ratios, zone_ratio=zone_ratio, alpha=alpha)
    sd = float(np.std(log_ratios, ddof=1))
    return RigCheck(
        ratio=found.ratio,
        low=found.low,
        high=found.high,
        n=found.n,
        sd=sd,
        smallest_ratio=smallest_ratio(sd, found.n, alpha=alpha),
        holds=found.verdict not in (Verdict.FASTER, Verdict.SLOWER),
    )


def smallest_ratio(sd: float, pairs: int, *, power: float = _POWER, alpha: float = ALPHA) -> float:
    """The smallest speed-up that is found from so many pairs of this noise with a probability of `power`."""
    from scipy.special import ndtri

    half = float(half_widths(np.array([pairs]), alpha)[0])
    return math.exp(sd * (half + float(ndtri(power)) / math.sqrt(pairs)))
