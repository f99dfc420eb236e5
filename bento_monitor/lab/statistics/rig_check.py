"""What a machine can tell apart just now: the baseline measured against itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import MeasurementError
from ...statistics.sequential import ZONE_RATIO

_LEAST_PAIRS = 5
_ALPHA = 0.01


@dataclass(frozen=True, slots=True)
class RigCheck:
    """The baseline against itself, over `n` pairs: the ratio with its interval, and the noise of a pair.

    The interval is the test's: it misses by `alpha` at each of its ends.
    """

    ratio: float
    low: float
    high: float
    n: int
    sd: float
    holds: bool

    def require(self) -> None:
        """Refuse a machine on which equal things look different.

        Raises:
            MeasurementError: the test finds a difference beyond the indifference zone where there is none.
        """
        if not self.holds:
            raise MeasurementError(
                f"The baseline differs from itself on this machine now: {self.ratio:.3f} times "
                f"[{self.low:.3f}, {self.high:.3f}], where equal things must look equal. Stop what else runs on the "
                "machine, or measure at another time."
            )


def check_rig(log_ratios: Sequence[float], *, zone_ratio: float = ZONE_RATIO, alpha: float = _ALPHA) -> RigCheck:
    """Judge pairs in which both arms are the baseline, by Student's t test that they differ by more than the zone.

    A machine on which the arms differ by the zone exactly fails in a share `alpha` of checks, one on which they are
    equal in fewer. The number of pairs must not depend on the ratios that were seen.

    Args:
        log_ratios: of the baseline over itself, a pair each.
        zone_ratio: two speeds within this ratio are as good as equal.
        alpha: chance that a machine within the zone is refused, at each of its ends.

    Raises:
        MeasurementError: there are fewer than 5 pairs, or a log-ratio is not finite.
    """
    from scipy.special import stdtrit

    values = np.asarray(log_ratios, dtype=np.float64)
    if len(values) < _LEAST_PAIRS:
        raise MeasurementError(f"{len(values)} pairs say nothing of a machine: measure at least {_LEAST_PAIRS}.")
    if not np.isfinite(values).all():
        raise MeasurementError("A ratio of two blocks is not finite: one of them measured nothing.")
    mean, sd = float(values.mean()), float(values.std(ddof=1))
    half = float(stdtrit(len(values) - 1, 1 - alpha)) * sd / math.sqrt(len(values))
    return RigCheck(
        ratio=math.exp(mean),
        low=math.exp(mean - half),
        high=math.exp(mean + half),
        n=len(values),
        sd=sd,
        holds=mean - half <= math.log(zone_ratio) and mean + half >= -math.log(zone_ratio),
    )
