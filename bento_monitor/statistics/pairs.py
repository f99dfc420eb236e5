"""Pairs of blocks, some of them thrown away for what happened around them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import MeasurementError

MOST_THROWN_RATIO = 0.1


@dataclass(frozen=True, slots=True)
class Pair:
    """The rates of two blocks side by side, and why the pair says nothing of them, if it does not."""

    candidate: float
    baseline: float
    fault: str | None = None

    @property
    def log_ratio(self) -> float:
        """Of candidate over baseline.

        Raises:
            MeasurementError: a rate is not above 0 and finite.
        """
        for rate in (self.candidate, self.baseline):
            if not (math.isfinite(rate) and rate > 0):
                raise MeasurementError(f"A block's rate is {rate}: only rates above 0 can be compared.")
        return math.log(self.candidate / self.baseline)


@dataclass(frozen=True, slots=True)
class PairedRun:
    """The log-ratios of the pairs that count, and of all, so that a reader sees what throwing away did."""

    kept: tuple[float, ...]
    every: tuple[float, ...]
    faults: tuple[str, ...]

    @property
    def thrown_ratio(self) -> float:
        """The share of the pairs that was thrown away."""
        return len(self.faults) / len(self.every) if self.every else 0.0

    @property
    def is_valid(self) -> bool:
        """Whether no more than a tenth was thrown away."""
        return self.thrown_ratio <= MOST_THROWN_RATIO

    def require(self) -> None:
        """Refuse a run on a machine that was too often in the way.

        Raises:
            MeasurementError: more than a tenth of the pairs was thrown away.
        """
        if not self.is_valid:
            raise MeasurementError(
                f"{len(self.faults)} of {len(self.every)} pairs were thrown away, the last because "
                f"{self.faults[-1]}: nothing can be measured here now."
            )


def collect_pairs(pairs: Sequence[Pair]) -> PairedRun:
    """Take the pairs of a run apart.

    Raises:
        MeasurementError: a rate is not above 0 and finite.
    """
    return PairedRun(
        kept=tuple(pair.log_ratio for pair in pairs if pair.fault is None),
        every=tuple(pair.log_ratio for pair in pairs),
        faults=tuple(pair.fault for pair in pairs if pair.fault is not None),
    )
