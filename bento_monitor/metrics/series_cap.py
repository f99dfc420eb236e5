"""Limits the number of series per metric: further label sets share one overflow series."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

MAX_SERIES = 1_000
"""Maximum series of one metric, enough for 80 APIs with all of their stages."""

OVERFLOW = "overflow"
"""The value of every label of the overflow series."""

Series = TypeVar("Series")


class CappedSeries(Generic[Series]):
    """At most `limit` series by their labels, and one overflow series for all other labels."""

    def __init__(self, make: Callable[[tuple[str, ...]], Series], limit: int = MAX_SERIES) -> None:
        self._make = make
        self._limit = limit
        self._made: dict[tuple[str, ...], Series] = {}

    def of(self, labels: tuple[str, ...]) -> Series:
        """Return the series of these labels, or the overflow series."""
        series = self._made.get(labels)
        if series is None:
            if len(self._made) >= self._limit:
                labels = (OVERFLOW,) * len(labels)
                if labels in self._made:
                    return self._made[labels]
            series = self._made[labels] = self._make(labels)
        return series

    def items(self) -> list[tuple[tuple[str, ...], Series]]:
        """Return all existing series with their labels."""
        return list(self._made.items())
