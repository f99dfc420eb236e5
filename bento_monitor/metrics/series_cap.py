"""A bound on the series of a metric: whoever asks for one more shares the last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

MAX_SERIES = 1_000
"""Of one metric: 80 APIs with all of their stages."""

OVERFLOW = "overflow"
"""The value of every label of the series that all share who come too late."""

Series = TypeVar("Series")


class CappedSeries(Generic[Series]):
    """Series by their labels, `limit` of them at most, and one more for all others."""

    def __init__(self, make: Callable[[tuple[str, ...]], Series], limit: int = MAX_SERIES) -> None:
        self._make = make
        self._limit = limit
        self._made: dict[tuple[str, ...], Series] = {}

    def of(self, labels: tuple[str, ...]) -> Series:
        """The series of these labels."""
        series = self._made.get(labels)
        if series is None:
            if len(self._made) >= self._limit:
                labels = (OVERFLOW,) * len(labels)
                if labels in self._made:
                    return self._made[labels]
            series = self._made[labels] = self._make(labels)
        return series

    def items(self) -> list[tuple[tuple[str, ...], Series]]:
        """All that were made, with their labels."""
        return list(self._made.items())
