"""The operations `export` and `parity`: the model as an ONNX file, and how far that is from the model itself."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..backends.arrays import inference_mode, to_numpy, to_torch
from ..backends.onnxruntime import as_input, default_session, input_dtypes
from ..backends.outputs import flatten_output
from ..backends.own import OwnModel, OwnModule, OwnOnnxFile
from ..errors import BentoMonitorError, ServiceError
from ..releases.record import TensorSpec
from .copy_onnx import copy_onnx_file
from .records import Exporter, Parity
from .state import CapturedCall, HostState

_PARITY_CALLS = 4


def export(state: HostState, path: Path, exporter: Exporter, opset: int) -> None:
    """Write the model as an ONNX file; the file of a runner that wraps one is copied.

    Raises:
        ServiceError: the module is in training mode, so that it has no one answer to export.
        BentoMonitorError: the exporter fails.
    """
    interface, runner = state.captured()
    own = runner.own_model
    if isinstance(own, OwnOnnxFile):
        copy_onnx_file(own.path, path)
        return
    if not isinstance(own, OwnModule):
        raise ServiceError(f"The runner {interface.runner} wraps a {type(own.model).__name__}, which is not exported.")
    _require_eval(own)
    example = min((call for call in state.calls if _rows(call) > 1), key=_rows, default=state.calls[0])
    tensors = tuple(to_torch(example.inputs[spec.name]) for spec in interface.inputs)
    with _flat_module(own.model, interface.inputs) as module, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns of each Python value that it takes for a constant
        try:
            _EXPORTERS[exporter](module, tensors, path, opset, interface.inputs, interface.outputs, state.calls)
        except Exception as error:
            raise BentoMonitorError(f"The exporter {exporter} fails on the model: {error!r}") from error


def parity(state: HostState, path: Path) -> Parity:
    """Run captured calls through the file and through the model itself.

    Raises:
        BentoMonitorError: the file cannot be loaded or run.
    """
    import numpy as np

    interface, runner = state.captured()
    session = default_session(path)
    dtypes = input_dtypes(session)
    names = [spec.name for spec in interface.outputs]
    if runner.own_model.kind == "onnx":
        names = [output.name for output in session.get_outputs()]
    difference = value = 0.0
    for call in _parity_calls(state.calls):
        expected = [to_numpy(array) for array in _call_own(runner.own_model, call)]
        found = session.run(names, {name: as_input(call.inputs[name], dtype) for name, dtype in dtypes.items()})
        for left, right in zip(expected, found, strict=True):
            difference = max(difference, float(np.abs(left.astype(float) - right.astype(float)).max(initial=0.0)))
            value = max(value, float(np.abs(left.astype(float)).max(initial=0.0)))
    return Parity(difference, value)


def _export_torchscript(
    module: Any,
    tensors: tuple[Any, ...],
    path: Path,
    opset: int,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    calls: Sequence[CapturedCall],
) -> None:
    import torch

    torch.onnx.export(
        module,
        tensors,
        str(path),
        dynamo=False,
        opset_version=opset,
        input_names=[spec.name for spec in inputs],
        output_names=[spec.name for spec in outputs],
        dynamic_axes=_axis_names(inputs, outputs, calls),
    )


def _export_dynamo(
    module: Any,
    tensors: tuple[Any, ...],
    path: Path,
    opset: int,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    calls: Sequence[CapturedCall],  # noqa: ARG001 - the exporters are called alike
) -> None:
    import torch

    dynamic = tuple(
        {axis: torch.export.Dim.DYNAMIC for axis, length in enumerate(spec.shape) if length is None} for spec in inputs
    )
    torch.onnx.export(
        module,
        tensors,
        str(path),
        dynamo=True,
        opset_version=max(opset, 18),  # below 18 it writes 18 all the same
        input_names=[spec.name for spec in inputs],
        output_names=[spec.name for spec in outputs],
        dynamic_shapes=(dynamic,),
        external_data=False,
    )


_EXPORTERS: dict[Exporter, Any] = {"torchscript": _export_torchscript, "dynamo": _export_dynamo}


def _axis_names(
    inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], calls: Sequence[CapturedCall]
) -> dict[str, dict[int, str]]:
    """A name for each axis that varies; those that were of one length in every call get one name."""
    names: dict[tuple[int, ...], str] = {}
    axes: dict[str, dict[int, str]] = {}
    for spec in (*inputs, *outputs):
        arrays = [call.inputs.get(spec.name, call.outputs.get(spec.name)) for call in calls]
        for axis, length in enumerate(spec.shape):
            if length is None:
                lengths = tuple(int(array.shape[axis]) for array in arrays if array is not None)
                axes.setdefault(spec.name, {})[axis] = names.setdefault(lengths, f"axis_{len(names)}")
    return axes


@contextmanager
def _flat_module(module: Any, inputs: Sequence[TensorSpec]) -> Iterator[Any]:
    """The module as one of positional tensors to a tuple of tensors.

    `torch.onnx.export` with `dynamo=False` puts what it exports back into its mode recursively: a wrapper that was
    never told `.eval()` leaves the user's module in training mode. So it is told, and each part's mode is put back.
    """
    import torch

    class FlatModule(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, *tensors: Any) -> Any:
            output = self.module(**dict(zip([spec.name for spec in inputs], tensors, strict=True)))
            arrays = flatten_output(output)[2]
            return arrays[0] if len(arrays) == 1 else tuple(arrays)

    modes = [(part, part.training) for part in module.modules()]
    try:
        with torch.no_grad():
            yield FlatModule().eval()
    finally:
        for part, mode in modes:
            part.training = mode


def _require_eval(own: OwnModule) -> None:
    import torch

    nn = torch.nn
    changing = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
    if any(part.training and isinstance(part, changing) for part in own.model.modules()):
        raise ServiceError(
            "The model is in training mode, so its answers are random or depend on the batch: call .eval() on it."
        )


def _call_own(own: OwnModel, call: CapturedCall) -> list[Any]:
    with inference_mode():
        return flatten_output(own.run((), call.inputs))[2]


def _parity_calls(calls: Sequence[CapturedCall]) -> Sequence[CapturedCall]:
    """A few calls, the smallest and the largest among them."""
    ordered = sorted(calls, key=_rows)
    step = max(1, (len(ordered) - 1) // (_PARITY_CALLS - 1)) if len(ordered) > 1 else 1
    return [*ordered[::step][: _PARITY_CALLS - 1], ordered[-1]]


def _rows(call: CapturedCall) -> int:
    shape = next(iter(call.inputs.values())).shape
    return int(shape[0]) if len(shape) else 1
