"""The largest accepted drop of a metric: absolute, `0.01`, or relative to the baseline, `1%`."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import StudyInputError
from .metrics import Metric
from .metrics._base import Family

# Families whose higher-is-better metrics are at most 1, and 0 or less if no answer is right.
_AT_MOST_1: frozenset[Family] = frozenset({"classes", "ranking", "retrieval", "agreement"})


@dataclass(frozen=True, slots=True)
class Tolerance:
    """The largest accepted drop; a relative tolerance is a share of the baseline's value."""

    amount: float
    is_relative: bool = False

    def absolute(self, baseline: float) -> float:
        """Return the largest accepted drop in the metric's own unit.

        Raises:
            StudyInputError: the tolerance is relative, and the baseline's value is 0.
        """
        if not self.is_relative:
            return self.amount
        if baseline == 0:
            raise StudyInputError(f"{self} of a baseline of 0 is 0: give --max-drop as a number, such as 0.01.")
        return self.amount * abs(baseline)

    def check(self, metric: Metric) -> None:
        """Refuse a tolerance that cannot be proved or that would accept any answers.

        Raises:
            StudyInputError: the tolerance is 0, or at least the most that the metric can lose.
        """
        if self.amount == 0:
            raise StudyInputError(
                f"--max-drop {self} cannot be proved by any number of samples: allow a small drop, such as 0.01 or 1%."
            )
        is_at_most_1 = metric.is_higher_better and metric.family in _AT_MOST_1
        if self.amount >= 1 and (is_at_most_1 or (self.is_relative and metric.is_higher_better)):
            raise StudyInputError(
                f"--max-drop {self} would accept any answers, since {metric.name} cannot lose more: give a smaller "
                "number, such as 0.01, or a share of the baseline's value, such as 1%."
            )

    def describe(self, metric: Metric, baseline: float | None = None) -> str:
        """Describe it in words: "accuracy at most 0.01 lower", "mean_absolute_error at most 1 % (0.02) higher"."""
        direction = "lower" if metric.is_higher_better else "higher"
        size = f"{self.amount * 100:g} %" if self.is_relative else f"{self.amount:g}"
        if self.is_relative and baseline is not None:
            size += f" ({self.absolute(baseline):.4g})"
        return f"{metric.name} at most {size} {direction}"

    def __str__(self) -> str:
        return f"{self.amount * 100:g}%" if self.is_relative else f"{self.amount:g}"


def parse_tolerance(text: str) -> Tolerance:
    """Parse a tolerance: `0.01` in the metric's own unit, or `1%` of the baseline's value.

    Raises:
        StudyInputError: the text is not a number of at least 0, or is more than 100 %.
    """
    number = text.strip().removesuffix("%").strip()
    is_relative = text.strip().endswith("%")
    try:
        amount = float(number)
    except ValueError:
        amount = math.nan
    if not math.isfinite(amount) or amount < 0 or (is_relative and amount > 100):
        raise StudyInputError(
            f"--max-drop {text!r} is not a tolerance: give a number of at least 0 in the metric's own unit, such as "
            "0.01, or a share of the baseline's value, such as 1%."
        )
    return Tolerance(amount / 100 if is_relative else amount, is_relative)
