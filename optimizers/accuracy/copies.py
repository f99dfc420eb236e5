"""Removal of copied samples: a copy adds no information, and makes the two halves of the data dependent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import StudyInputError
from .split import Rows, split_rows


def split_samples(
    bodies: Sequence[bytes], counts: Sequence[int], labels: NDArray[Any] | None, *, seed: int
) -> tuple[Rows, Rows]:
    """Return the samples to choose on and the samples to prove on, without copies.

    Of several samples with the same request and label, only the first is used. `counts` is the number of samples of
    each file. Two files are used to choose on and to prove on; one file is split in halves. Samples of the first file
    are not used in the proof.

    Raises:
        StudyInputError: too few samples are left.
    """
    rows = _first_rows(bodies, labels)
    if len(counts) > 1:
        proving = rows[rows >= counts[0]]
        if not len(proving):
            raise StudyInputError(
                f"All {counts[1]} samples of --prove-data are in --data too, but a proof needs samples that were not "
                "used to choose the candidate: give other samples, or leave --prove-data out."
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
