"""The user's own model, executed just as if nothing wrapped it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from ..errors import ServiceError
from .arguments import bind_arguments, positional_names
from .arrays import is_torch_tensor, to_torch
from .onnxruntime import as_input, default_session, input_dtypes

_PRECISIONS = {"torch.float32": "fp32", "torch.bfloat16": "bf16", "torch.float16": "fp16", "torch.float64": "fp64"}


class OwnModule:
    """The user's torch module; a call of it is a call of the module."""

    kind: Literal["torch", "onnx"] = "torch"
    backend = "torch"

    def __init__(self, module: Any) -> None:
        self.model = module
        self.parameter = parameter = next(iter(module.parameters()), None)
        self.precision = "fp32" if parameter is None else _PRECISIONS.get(str(parameter.dtype), str(parameter.dtype))
        self.names = positional_names(module.forward)

    def run(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Call the module."""
        return self.model(*args, **kwargs)


class OwnOnnxFile:
    """The user's ONNX file in a session with onnxruntime's defaults.

    Positional arguments are taken in the order of the file's inputs. One output is given back as an array, several as a
    tuple of arrays: torch tensors where an argument is one, else numpy arrays.
    """

    kind: Literal["torch", "onnx"] = "onnx"
    backend = "onnxruntime"
    precision = "as in the file"
    parameter = None

    def __init__(self, path: Path) -> None:
        self.path = path
        self.model = default_session(path)
        self._dtypes = input_dtypes(self.model)
        self.names = tuple(self._dtypes)

    def run(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Run the session."""
        inputs = bind_arguments(self.names, args, kwargs)
        feed = {name: as_input(value, self._dtypes.get(name)) for name, value in inputs.items()}
        outputs = self.model.run(None, feed)
        if any(is_torch_tensor(value) for value in inputs.values()):
            outputs = [to_torch(output) for output in outputs]
        return outputs[0] if len(outputs) == 1 else tuple(outputs)


OwnModel = OwnModule | OwnOnnxFile


def wrap_own_model(model: object) -> OwnModel:
    """The user's model as a runner calls it; torch is looked for, never imported.

    Raises:
        ServiceError: it is neither a torch module nor the path of an ONNX file that can be loaded.
    """
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(model, torch.nn.Module):
        return OwnModule(model)
    if isinstance(model, str | os.PathLike):
        path = Path(model)
        if not path.is_file():
            raise ServiceError(f"MonitoredRunner: there is no file {path}. Give it the path of an ONNX file.")
        return OwnOnnxFile(path)
    raise ServiceError(
        f"MonitoredRunner wraps a torch.nn.Module or the path of an ONNX file, not a {type(model).__name__}."
    )
