"""Inputs of several lengths, for APIs whose rows are texts or lists: rows of the data, or one text cut and repeated."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

_LENGTHS = 6
_OF_EACH = 8
# Lengths that differ by less do not show the cost of length.
_MIN_RATIO = 2.0
_FACTORS = (0.25, 0.5, 1, 2, 4, 8)


def unit_of(rows: Sequence[Any]) -> str | None:
    """Return the unit of the rows' length, "characters" or "elements"; None if the rows have no length."""
    if rows and all(isinstance(row, str) for row in rows):
        return "characters"
    return "elements" if rows and all(isinstance(row, list) for row in rows) else None


def rows_by_length(rows: Sequence[Any]) -> dict[int, list[Any]]:
    """Group rows by length, from the shortest to the longest; the keys are the median lengths of the groups.

    A text is cut and repeated, word by word, if all texts have about the same length. Lists of about the same length
    are treated as features and not grouped.
    """
    if unit_of(rows) is None:
        return {}
    ordered = sorted(rows, key=len)
    if len(ordered[-1]) >= _MIN_RATIO * max(len(ordered[0]), 1):
        return _groups(ordered)
    if isinstance(ordered[0], str) and ordered[0].split():
        return {len(text): [text] for text in map(_stretched, itertools.repeat(ordered[0]), _FACTORS)}
    return {}


def _groups(ordered: Sequence[Any]) -> dict[int, list[Any]]:
    size = min(_OF_EACH, max(len(ordered) // _LENGTHS, 1))
    found: dict[int, list[Any]] = {}
    for start in np.linspace(0, len(ordered) - size, _LENGTHS).round().astype(int):
        group = list(ordered[start : start + size])
        found.setdefault(len(group[len(group) // 2]), group)
    return found


def _stretched(text: str, factor: float) -> str:
    words = text.split()
    return " ".join(itertools.islice(itertools.cycle(words), max(round(len(words) * factor), 1)))
