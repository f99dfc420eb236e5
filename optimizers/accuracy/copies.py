"""Samples that are copies of others: a copy shows nothing that the first did not, and ties the two halves together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import StudyInputError
from .split import Rows, split_rows


def parts_of(
    bodies: Sequence[bytes], counts: Sequence[int], labels: NDArray[Any] | None, *, seed: int
) -> tuple[Rows, Rows]:
    """The samples to choose on, and those to prove on, without copies: of several samples with the same request and
    label only the first is taken.

    `counts` are the samples of each file: of two files the first and the second, of one its halves. What is in the
    first file is not proved on again.

    Raises:
        StudyInputError: too few samples are left.
    """
    rows = _first_rows(bodies, labels)
    if len(counts) > 1:
        proving = rows[rows >= counts[0]]
        if not len(proving):
            raise StudyInputError(
                f"All {counts[1]} samples of --prove-data are in --data too, and nothing is proved on what it was "
                "chosen by: give other samples, or leave --prove-data out."
            )
        return rows[rows < counts[0]], proving
    if len(rows) < 2:
        raise StudyInputError(f"All {len(bodies)} samples are copies of one request and label: give other samples.")
    classes = np.zeros(len(rows), dtype=np.int64) if labels is None else labels[rows]
    choosing, proving = split_rows(classes, seed=seed)
    return rows[choosing], rows[proving]


def _first_rows(bodies: Sequence[bytes], labels: NDArray[Any] | None) -> Rows:
    firsts: dict[tuple[bytes, bytes], int] = {}
    for row, body in enumerate(bodies):
        firsts.setdefault((body, b"" if labels is None else labels[row].tobytes()), row)
    return np.array(list(firsts.values()), dtype=np.int64)
