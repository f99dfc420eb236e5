"""An onnxruntime session that never gets more rows than its file takes.

Many exporters fix the batch at 1. A call with several rows is then run row by row: each row has its own part of a
state, and the answers are joined along the axis that counts the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ServiceError
from .onnx_batch import BatchAxes, Shape, batch_axes_of

_ROW_AXES = (0, 1)  # a recurrent state has its layers before the batch
_STATE_RANK = 3


class RowsSession:
    """Runs a session, row by row if needed; several threads may do so at once."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.axes: BatchAxes = batch_axes_of(session)

    def run(self, names: Sequence[str], feed: Mapping[str, Any]) -> list[Any]:
        """Return the outputs of those names: at once, or row by row if the file takes one row at a time.

        Raises:
            ServiceError: the call has another number of rows than the file takes, and cannot be run row by row.
        """
        differing = {} if self.axes.fixed_batch is None else self._differing(feed)
        if not differing:
            found: list[Any] = self._session.run(names, feed)
            return found
        count = self._row_count(feed, differing)
        if count is None:
            raise self._refusal(feed)
        places = self._output_axes(names, differing)
        cuts = [self._session.run(names, _row_of(feed, differing, row)) for row in range(count)]
        return [self._joined(name, [cut[index] for cut in cuts], places[name]) for index, name in enumerate(names)]

    def _differing(self, feed: Mapping[str, Any]) -> dict[str, int]:
        """Return the row axis of each input whose number of rows is not the file's; empty if another axis differs."""
        found: dict[str, int] = {}
        for name, value in feed.items():
            declared = self.axes.inputs.get(name)
            if declared is None or len(declared) != len(value.shape):
                return {}
            pairs = enumerate(zip(declared, value.shape, strict=True))
            axes = [axis for axis, (wanted, given) in pairs if isinstance(wanted, int) and wanted != given]
            if not axes:
                continue
            if len(axes) > 1 or axes[0] not in _ROW_AXES or declared[axes[0]] != self.axes.fixed_batch:
                return {}
            found[name] = axes[0]
        return found if all(self._may_count_rows(name, found) for name in found) else {}

    def _may_count_rows(self, name: str, differing: Mapping[str, int]) -> bool:
        """Whether the differing axis of an input counts its rows.

        The second axis of `(1, 1, n)` does only if another input has its rows first; otherwise the axis may as well be
        the channels of an image.
        """
        if differing[name] == self.axes.axes[name]:
            return True
        return len(self.axes.inputs[name]) == _STATE_RANK and 0 in differing.values()

    def _row_count(self, feed: Mapping[str, Any], differing: Mapping[str, int]) -> int | None:
        """Return the number of rows; None unless the file takes one row and all inputs with rows have equally many."""
        counts = {int(feed[name].shape[axis]) for name, axis in differing.items()}
        has_all = all(name in differing for name, axis in self.axes.axes.items() if axis is not None)
        if self.axes.fixed_batch != 1 or len(counts) > 1 or counts == {0} or not has_all:
            return None
        return counts.pop()

    def _output_axes(self, names: Sequence[str], differing: Mapping[str, int]) -> dict[str, int]:
        return {name: self._output_axis(name, differing) for name in names}

    def _output_axis(self, name: str, differing: Mapping[str, int]) -> int:
        """Return the axis of length 1 that counts the rows; of two, that of an input of the same shape, as a state."""
        shape = self.axes.outputs[name]
        axes = [axis for axis in _ROW_AXES if axis < len(shape) and shape[axis] == 1]
        if len(axes) > 1:
            alike = {axis for given, axis in differing.items() if self.axes.inputs[given] == shape}
            axes = list(alike or set(differing.values()))
        if len(axes) != 1:
            raise self._cannot_join(name, shape)
        return axes[0]

    def _joined(self, name: str, parts: Sequence[Any], axis: int) -> Any:
        import numpy as np

        if len({part.shape for part in parts}) > 1 or parts[0].shape[axis : axis + 1] != (1,):
            raise self._cannot_join(name, self.axes.outputs[name])
        return np.concatenate(parts, axis=axis)

    def _refusal(self, feed: Mapping[str, Any]) -> ServiceError:
        name, axis = next((name, axis) for name, axis in self._differing(feed).items())
        return ServiceError(
            f"The ONNX file takes {self.axes.fixed_batch} row(s) per call: its input {name} has the shape "
            f"{_shape_text(self.axes.inputs[name])}, but the call has {_shape_text(feed[name].shape)}, that is "
            f"{feed[name].shape[axis]} row(s). Pass {self.axes.fixed_batch}, or export the file with a free first axis."
        )

    def _cannot_join(self, name: str, shape: Shape) -> ServiceError:
        return ServiceError(
            f"The ONNX file takes one row per call, and its output {name} of the shape {_shape_text(shape)} has no "
            "unique axis along which the answers to several rows can be joined: pass one row, or export the file with "
            "a free first axis."
        )


def _row_of(feed: Mapping[str, Any], axes: Mapping[str, int], row: int) -> dict[str, Any]:
    """Return the inputs for one row, contiguous; an input without rows is passed whole with each row."""
    found = dict(feed)
    for name, axis in axes.items():
        found[name] = feed[name].take([row], axis=axis)
    return found


def _shape_text(shape: Sequence[int | str | None]) -> str:
    return f"({', '.join('any' if not isinstance(length, int) else str(length) for length in shape)})"
