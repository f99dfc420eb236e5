"""Two halves of the evaluation data: candidates are chosen on one, and the winner is proved on the other."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import StudyInputError

Rows = NDArray[np.int64]


def split_rows(labels: NDArray[Any], *, seed: int) -> tuple[Rows, Rows]:
    """Rows to choose on and rows to prove on, each in rising order; of an odd number the proof has one more.

    Stratified where labels are classes: booleans, strings, or whole numbers, also rows of them (multi-label). Each
    class is shared out evenly; of a class with an odd number of rows the last goes with the last of another class.
    Labels with fractions are targets of a regression, and are split at random.

    Raises:
        StudyInputError: there are fewer than 2 labels.
    """
    n = len(labels) if labels.ndim else 0
    if n < 2:
        raise StudyInputError(f"Data of {n} samples cannot be split in two parts: give 2 samples or more.")
    generator = np.random.default_rng(seed)
    shuffled = generator.permutation(n)
    ordered = shuffled[np.argsort(_classes(labels)[shuffled], kind="stable")]
    # Neighbours in the order of classes are a pair: one goes to each side.
    pairs = ordered[: n - n % 2].reshape(-1, 2)
    is_first = generator.integers(0, 2, len(pairs))
    each = np.arange(len(pairs))
    choosing, proving = pairs[each, is_first], pairs[each, 1 - is_first]
    return np.sort(choosing), np.sort(np.concatenate([proving, ordered[n - n % 2 :]]))


def _classes(labels: NDArray[Any]) -> Rows:
    """A number for each row's class; all 0 where labels are no classes."""
    is_class = labels.dtype.kind in "biuSU" or (labels.dtype.kind == "f" and bool((labels == np.round(labels)).all()))
    if not is_class:
        return np.zeros(len(labels), dtype=np.int64)
    _, classes = np.unique(labels.reshape(len(labels), -1), axis=0, return_inverse=True)
    return classes.reshape(-1).astype(np.int64)
