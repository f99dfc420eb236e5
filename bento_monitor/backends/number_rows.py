"""Conversion of data frames and nested lists of numbers to the array that an estimator would make of them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Literal

RowForm = Literal["array", "list", "frame"]


def row_form(value: Any) -> RowForm | None:
    """Return the kind of container that holds the rows; None for anything else."""
    import numpy as np

    if type(value) is np.ndarray:
        return "array"
    if isinstance(value, list):
        return "list"
    return "frame" if is_frame(value) else None


def is_frame(value: Any) -> bool:
    """Whether `value` is a pandas data frame."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and type(value) is pandas.DataFrame


def number_rows(value: Any, names: Sequence[str] | None) -> Any | None:
    """Return the rows as a numpy array; None if they are not numbers, or if a frame's columns are not `names`.

    `names` are the names of the features that an estimator was fitted on; None if it was fitted on an array.
    """
    import numpy as np

    form = row_form(value)
    if form == "array":
        return value
    if form == "frame":
        is_plain = all(isinstance(dtype, np.dtype) and dtype.kind in "fiub" for dtype in value.dtypes)
        has_names = names is None or list(value.columns) == list(names)
        rows = value.to_numpy() if is_plain and has_names else None
    elif form == "list" and all(isinstance(row, list | tuple) for row in value):
        try:
            rows = np.asarray(value)
        except ValueError:  # rows of different lengths
            return None
    else:
        return None
    return rows if rows is not None and rows.ndim == 2 and rows.dtype.kind in "fiub" else None


def feature_names(estimator: Any) -> list[str] | None:
    """Return the names of the features that an estimator was fitted on; None if it has none."""
    names = getattr(estimator, "feature_names_in_", None)
    return None if names is None else list(names)
