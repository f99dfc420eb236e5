"""Splitting the evaluation data in two halves: one to choose candidates on, one to prove the winner on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import StudyInputError

Rows = NDArray[np.int64]


def split_rows(labels: NDArray[Any], *, seed: int) -> tuple[Rows, Rows]:
    """Return rows to choose on and rows to prove on, each in ascending order; an odd row goes to the proof.

    The split is stratified if labels are classes: booleans, strings, whole numbers, or rows of these (multi-label).
    Each class is divided evenly; the odd row of a class is paired with the odd row of another class. Labels with
    fractions are regression targets, and are split at random.

    Raises:
        StudyInputError: there are fewer than 2 labels.
    """
    n = len(labels) if labels.ndim else 0
    if n < 2:
        raise StudyInputError(f"Data of {n} samples cannot be split in two parts: give at least 2 samples.")
    generator = np.random.default_rng(seed)
    shuffled = generator.permutation(n)
    ordered = shuffled[np.argsort(_classes(labels)[shuffled], kind="stable")]
    # Neighbors in the order of classes are a pair: one goes to each side.
    pairs = ordered[: n - n % 2].reshape(-1, 2)
    is_first = generator.integers(0, 2, len(pairs))
    each = np.arange(len(pairs))
    choosing, proving = pairs[each, is_first], pairs[each, 1 - is_first]
    return np.sort(choosing), np.sort(np.concatenate([proving, ordered[n - n % 2 :]]))


def _classes(labels: NDArray[Any]) -> Rows:
    """Return the number of each row's class; all 0 if labels are not classes."""
    is_class = labels.dtype.kind in "biuSU" or (labels.dtype.kind == "f" and bool((labels == np.round(labels)).all()))
    if not is_class:
        return np.zeros(len(labels), dtype=np.int64)
    _, classes = np.unique(labels.reshape(len(labels), -1), axis=0, return_inverse=True)
    return classes.reshape(-1).astype(np.int64)
