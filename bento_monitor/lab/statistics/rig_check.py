"""The rig check: whether a machine measures the baseline as equal to itself at the moment."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import MeasurementError
from ...statistics.sequential import ZONE_RATIO

_MIN_PAIRS = 5
_ALPHA = 0.01


class RigError(MeasurementError):
    """The baseline differs from itself."""


@dataclass(frozen=True, slots=True)
class RigCheck:
    """The baseline against itself, over `n` pairs: the ratio with its interval, and the noise `sd` of a pair.

    The interval is that of the test: each of its ends is wrong with a probability of `alpha`.
    """

    ratio: float
    low: float
    high: float
    n: int
    sd: float
    holds: bool

    def require(self) -> None:
        """Refuse a machine on which the baseline differs from itself.

        Raises:
            RigError: the test finds a difference beyond the indifference zone where there is none.
        """
        if not self.holds:
            raise RigError(
                f"The baseline differs from itself on this machine now: {self.ratio:.3f} times "
                f"[{self.low:.3f}, {self.high:.3f}]. Stop the other programs on the machine, or measure at another "
                "time."
            )


def check_rig(log_ratios: Sequence[float], *, zone_ratio: float = ZONE_RATIO, alpha: float = _ALPHA) -> RigCheck:
    """Test, by Student's t, whether two arms that are both the baseline differ by more than the indifference zone.

    A machine on which the arms differ by exactly the zone fails a share `alpha` of checks; a machine on which they are
    equal fails fewer. The number of pairs must not depend on the observed ratios.

    Args:
        log_ratios: log-ratios of the baseline to itself, one per pair.
        zone_ratio: two speeds within this ratio count as equal.
        alpha: probability, at each end of the zone, that a machine within the zone is refused.

    Raises:
        MeasurementError: there are fewer than 5 pairs, or a log-ratio is not finite.
    """
    from scipy.special import stdtrit

    values = np.asarray(log_ratios, dtype=np.float64)
    if len(values) < _MIN_PAIRS:
        raise MeasurementError(f"{len(values)} pairs are too few for the rig check: measure at least {_MIN_PAIRS}.")
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
