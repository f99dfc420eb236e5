"""The shape of a call of separate rows: how many there are, and the length that all of them are padded to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import ReleaseError
from ..releases.release_record import TensorSpec


@dataclass(frozen=True, slots=True)
class CallShape:
    """The number of rows of a call, and the length of every other axis that varies; None if there is none."""

    rows: int
    length: int | None


def varying_axes(inputs: Iterable[TensorSpec]) -> dict[str, list[int]]:
    """Return, by input, the axes that vary besides that of the rows."""
    return {spec.name: [axis for axis, length in enumerate(spec.shape) if axis and length is None] for spec in inputs}


def shape_of(inputs: Mapping[str, Any], varying: Mapping[str, Sequence[int]]) -> CallShape | None:
    """Return the shape of a call; None if its inputs disagree on it, or there is nothing to compute."""
    rows = {value.shape[0] for value in inputs.values()}
    lengths = {value.shape[axis] for name, value in inputs.items() for axis in varying[name]}
    if len(rows) != 1 or len(lengths) > 1 or 0 in rows | lengths:
        return None
    return CallShape(int(rows.pop()), int(lengths.pop()) if lengths else None)


def require_rows(what: str, specs: Iterable[TensorSpec]) -> None:
    """Raise ReleaseError if the first axis of an input or output is not that of the rows; `what` needs them."""
    for spec in specs:
        if spec.shape[:1] != (None,):
            raise ReleaseError(f"{what} need a batch as the first axis of {spec.name}, whose shape is {spec.shape}.")
