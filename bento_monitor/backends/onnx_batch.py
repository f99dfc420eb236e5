"""Which axis of an ONNX file's inputs counts the rows, and whether the number of rows is fixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Shape = tuple[int | str | None, ...]


@dataclass(frozen=True, slots=True)
class BatchAxes:
    """The batch axes of an ONNX file.

    `fixed_batch` is the number of rows that every call must have; None if any number will do. `axes` has the axis of
    each input that counts the rows; None for an input without such an axis, such as a scalar. `inputs` and `outputs`
    are the shapes that the file declares.
    """

    fixed_batch: int | None
    axes: Mapping[str, int | None]
    inputs: Mapping[str, Shape]
    outputs: Mapping[str, Shape]


def batch_axes_of(session: Any) -> BatchAxes:
    """Read the batch axes from the shapes of a session's inputs and outputs.

    One input with a free first axis is enough for a free number of rows: a state or a table beside it may be fixed.
    """
    shapes = {each.name: tuple(each.shape) for each in session.get_inputs()}
    outputs = {each.name: tuple(each.shape) for each in session.get_outputs()}
    fixed = _fixed_batch([shape for shape in shapes.values() if shape], [shape for shape in outputs.values() if shape])
    return BatchAxes(fixed, {name: _batch_axis(shape, fixed) for name, shape in shapes.items()}, shapes, outputs)


def _fixed_batch(inputs: Sequence[Shape], outputs: Sequence[Shape]) -> int | None:
    if not inputs or any(not isinstance(shape[0], int) for shape in inputs):
        return None
    lengths = [shape[0] for shape in inputs if len(shape) > 1]
    answered = [shape[0] for shape in outputs]
    agreed = next((length for length in lengths if length in answered), None)
    if isinstance(agreed, int):
        return agreed
    if lengths and isinstance(lengths[0], int):
        return lengths[0]
    only = inputs[0][0]
    # A single vector is one sample, unless an output has an element for each of the vector's elements.
    return only if isinstance(only, int) and only in answered else 1


def _batch_axis(shape: Shape, fixed: int | None) -> int | None:
    """Return the first axis, or the second if the first has another fixed length, as in `(layers, batch, hidden)`."""
    for axis, length in enumerate(shape[:2]):
        if length == fixed if isinstance(length, int) else fixed is None:
            return axis
    return None
