"""The number of rows of a model call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def row_count(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> int | None:
    """Return the length of the first axis of the first argument that has one, else of the first list, else 1.

    Arrays, tensors, data frames and sparse matrices have a shape; XGBoost's matrices report their rows. None if an
    argument cannot be counted: counting must not fail the call.
    """
    try:
        return _count(args, kwargs)
    except Exception:
        return None


def _count(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> int:
    values = (*args, *kwargs.values())
    for value in values:
        shape = getattr(value, "shape", None)
        if isinstance(shape, tuple) and shape:
            return int(shape[0])
        if callable(num_row := getattr(type(value), "num_row", None)):
            return int(num_row(value))
    for value in values:
        if isinstance(value, list | tuple):
            return len(value)
    return 1
