"""The user's ONNX file, in a session with onnxruntime's defaults."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..arguments import bind_arguments
from ..arrays import is_torch_tensor, to_torch
from ..onnx_rows import RowsSession
from ..onnxruntime import as_input, default_session, input_dtypes
from ._base import ModelKind


class OwnOnnxFile:
    """The user's ONNX file in a session with onnxruntime's defaults.

    Positional arguments follow the order of the file's inputs. One output is returned as an array, several as a tuple
    of arrays in the order of `output_names`: torch tensors if an argument is one, else numpy arrays. A file that takes
    one row at a time is run once for each row.
    """

    kind: ModelKind = "onnx"
    backend = "onnxruntime"
    precision = "as in the file"
    parameter = None
    methods: tuple[str, ...] = ()

    def __init__(self, path: Path) -> None:
        self.path = path
        self.model = default_session(path)
        self._dtypes = input_dtypes(self.model)
        self.names = tuple(self._dtypes)
        self.output_names = tuple(output.name for output in self.model.get_outputs())
        self._rows = RowsSession(self.model)

    @property
    def fixed_batch(self) -> int | None:
        """The number of rows that every call must have, by the file's input shapes; None if any number will do."""
        return self._rows.axes.fixed_batch

    @property
    def batch_axes(self) -> Mapping[str, int | None]:
        """The axis of each input that counts the rows: 0 for most, 1 for a recurrent state, None for a scalar."""
        return self._rows.axes.axes

    def run(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], method: str | None = None) -> Any:
        """Run the session.

        Raises:
            ServiceError: the call has another number of rows than the file takes.
        """
        assert method is None
        inputs = bind_arguments(self.names, args, kwargs)
        feed = {name: as_input(value, self._dtypes.get(name)) for name, value in inputs.items()}
        outputs = self._rows.run(self.output_names, feed)
        if any(is_torch_tensor(value) for value in inputs.values()):
            outputs = [to_torch(output) for output in outputs]
        return outputs[0] if len(outputs) == 1 else tuple(outputs)
