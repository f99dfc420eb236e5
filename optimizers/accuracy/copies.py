"""Removal of copied samples: a copy adds no information, and makes the two halves of the data dependent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import StudyInputError
from .split import Rows, split_rows


def split_samples(
    bodies: Sequence[bytes],
    counts: Sequence[int],
    labels: NDArray[Any] | None,
    groups: NDArray[Any] | None = None,
    *,
    seed: int,
) -> tuple[Rows, Rows]:
    """Return the samples to choose on and the samples to prove on, without copies.

    Of several samples with the same request and label, only the first is used. `counts` is the number of samples of
    each file. Two files are used to choose on and to prove on; one file is split in halves. Samples of the first file
    are not used in the proof. With `groups`, all samples of a group are on one side, and a sample that another group
    has too is not a copy.

    Raises:
        StudyInputError: too few samples are left, or a group is in both files.
    """
    rows = _first_rows(bodies, labels, groups)
    if groups is not None and len(counts) > 1:
        _require_apart(groups, counts[0])
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
    if groups is not None:
        return _split_groups(rows, labels, groups, seed)
    classes = np.zeros(len(rows), dtype=np.int64) if labels is None else labels[rows]
    choosing, proving = split_rows(classes, seed=seed)
    return rows[choosing], rows[proving]


def _first_rows(bodies: Sequence[bytes], labels: NDArray[Any] | None, groups: NDArray[Any] | None) -> Rows:
    firsts: dict[tuple[bytes, bytes, str], int] = {}
    for row, body in enumerate(bodies):
        label = b"" if labels is None else labels[row].tobytes()
        firsts.setdefault((body, label, "" if groups is None else str(groups[row])), row)
    return np.array(list(firsts.values()), dtype=np.int64)


def _split_groups(rows: Rows, labels: NDArray[Any] | None, groups: NDArray[Any], seed: int) -> tuple[Rows, Rows]:
    """Split the groups in halves; if each has samples of only one class, the halves have equally many of each class."""
    names, numbers = np.unique(groups[rows], return_inverse=True)
    if len(names) < 2:
        raise StudyInputError("All samples are of one group, and a group is not split: give samples of other groups.")
    classes = np.zeros(len(names), dtype=np.int64)
    if labels is not None:
        kinds = [np.unique(labels[rows][numbers == number], axis=0) for number in range(len(names))]
        if all(len(kind) == 1 for kind in kinds):
            classes = np.concatenate(kinds)
    choosing, proving = split_rows(classes, seed=seed)
    return rows[np.isin(numbers, choosing)], rows[np.isin(numbers, proving)]


def _require_apart(groups: NDArray[Any], first: int) -> None:
    shared = np.intersect1d(groups[:first], groups[first:])
    if len(shared):
        raise StudyInputError(
            f"The group {str(shared[0])!r} is in --data and in --prove-data, but a proof needs samples of other groups."
        )
