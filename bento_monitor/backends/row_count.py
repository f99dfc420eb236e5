"""How many rows a call of a model has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def row_count(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> int | None:
    """The length of the first axis of the first argument that has one; else of the first list; 1 where there is none.

    Arrays, tensors, data frames and sparse matrices have a shape; XGBoost's matrices say their rows. None where an
    argument does not tell: to count must not fail the call.
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
