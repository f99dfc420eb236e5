"""Pairs of blocks. A pair is thrown away if the machine disturbed it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import MeasurementError

MAX_THROWN_RATIO = 0.1


@dataclass(frozen=True, slots=True)
class Pair:
    """The rates of two adjacent blocks; `fault` is the reason to throw the pair away, if any."""

    candidate: float
    baseline: float
    fault: str | None = None

    @property
    def log_ratio(self) -> float:
        """Logarithm of the candidate's rate over the baseline's rate.

        Raises:
            MeasurementError: a rate is not above 0 and finite.
        """
        for rate in (self.candidate, self.baseline):
            if not (math.isfinite(rate) and rate > 0):
                raise MeasurementError(f"The rate of a block is {rate}: it must be finite and above 0 to be compared.")
        return math.log(self.candidate / self.baseline)


@dataclass(frozen=True, slots=True)
class PairedRun:
    """The log-ratios of the kept pairs and of all pairs, so that a reader sees the effect of throwing pairs away."""

    kept: tuple[float, ...]
    every: tuple[float, ...]
    faults: tuple[str, ...]

    @property
    def thrown_ratio(self) -> float:
        """Share of the pairs that were thrown away."""
        return len(self.faults) / len(self.every) if self.every else 0.0

    @property
    def is_valid(self) -> bool:
        """Whether at most a tenth of the pairs was thrown away."""
        return self.thrown_ratio <= MAX_THROWN_RATIO

    def require(self) -> None:
        """Raise an error for a run that the machine disturbed too often.

        Raises:
            MeasurementError: more than a tenth of the pairs was thrown away.
        """
        if not self.is_valid:
            raise MeasurementError(
                f"{len(self.faults)} of {len(self.every)} pairs were thrown away, the last because "
                f"{self.faults[-1]}: measure again when the machine is less busy."
            )


def collect_pairs(pairs: Sequence[Pair]) -> PairedRun:
    """Separate the kept pairs of a run from those thrown away.

    Raises:
        MeasurementError: a rate is not above 0 and finite.
    """
    return PairedRun(
        kept=tuple(pair.log_ratio for pair in pairs if pair.fault is None),
        every=tuple(pair.log_ratio for pair in pairs),
        faults=tuple(pair.fault for pair in pairs if pair.fault is not None),
    )
