"""Exports to ONNX with torch: by tracing, by scripting with branches and loops, and by `torch.export`."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from sys import stderr
from typing import Any

from ...backends.arrays import to_torch
from ...releases.release_record import TensorSpec
from .attention_symbolic import OPERATORS, attention_as_operator
from .branches import place_of
from .state import CapturedCall

_LOWEST_DYNAMO_OPSET = 18  # for lower opsets, the exporter writes 18 too
_MAX_REASON = 200
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True)
class Example:
    """A module's calls for an exporter: specs, all captured calls, and the tensors of one call."""

    inputs: Sequence[TensorSpec]
    outputs: Sequence[TensorSpec]
    calls: Sequence[CapturedCall]
    tensors: tuple[Any, ...]


def example_of(
    inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], calls: Sequence[CapturedCall], device: Any
) -> Example:
    """Return the example with the fewest rows above one: exporters treat a length of 1 as a constant."""
    call = min((call for call in calls if row_count(call) > 1), key=row_count, default=calls[0])
    return Example(inputs, outputs, calls, tuple(to_torch(call.inputs[spec.name], device) for spec in inputs))


def row_count(call: CapturedCall) -> int:
    """Return the length of the first axis of the first input."""
    shape = next(iter(call.inputs.values())).shape
    return int(shape[0]) if len(shape) else 1


def write_traced(
    module: Any, example: Example, path: Path, opset: int, *, custom_opsets: Mapping[str, int] | None = None
) -> tuple[str, ...]:
    """Export the path of the example; return the tracer's warnings, with their lines."""
    import torch

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.onnx.export(
            module,
            example.tensors,
            str(path),
            dynamo=False,
            opset_version=opset,
            input_names=[spec.name for spec in example.inputs],
            output_names=[spec.name for spec in example.outputs],
            dynamic_axes=_axis_names(example),
            custom_opsets=custom_opsets,
        )
    lines = [
        f"{place_of(warning.filename, warning.lineno)}: {first_sentence(str(warning.message))}"
        for warning in caught
        if warning.category.__name__ == "TracerWarning"
    ]
    return tuple(dict.fromkeys(lines))


def write_fused(module: Any, example: Example, path: Path, opset: int) -> tuple[str, ...]:
    """Export the path of the example, with each attention as one operator.

    Raises:
        BentoMonitorError: the model calls no `scaled_dot_product_attention`, or one that the operator cannot compute.
    """
    with attention_as_operator(module, example.tensors, opset):
        return write_traced(module, example, path, opset, custom_opsets=OPERATORS)


def write_scripted(module: Any, example: Example, path: Path, opset: int) -> tuple[str, ...]:
    """Export a flat module of a scripted module; the graph keeps its branches and loops."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(module, example.tensors, check_trace=False)  # type: ignore[no-untyped-call]
    return write_traced(traced, example, path, opset)


def write_dynamo(module: Any, example: Example, path: Path, opset: int) -> tuple[str, ...]:
    """Export with `torch.export`, which refuses branches on data."""
    import torch

    dynamic = tuple(
        {axis: torch.export.Dim.DYNAMIC for axis, length in enumerate(spec.shape) if length is None}
        for spec in example.inputs
    )
    with warnings.catch_warnings(), redirect_stdout(stderr):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            example.tensors,
            str(path),
            dynamo=True,
            opset_version=max(opset, _LOWEST_DYNAMO_OPSET),
            input_names=[spec.name for spec in example.inputs],
            output_names=[spec.name for spec in example.outputs],
            dynamic_shapes=(dynamic,),
            external_data=False,
        )
    return ()


def reason_of(error: BaseException) -> str:
    """Return the first sentence of the cause of an exporter's failure; log files get the full error."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {first_sentence(str(error))}" if str(error).strip() else type(error).__name__


def first_sentence(text: str) -> str:
    """Return the first sentence of a message, at most 200 characters long, without color codes."""
    line = next(iter(_ESCAPES.sub("", text).strip().splitlines()), "")
    return re.split(r"(?<=[.!?])\s", line, maxsplit=1)[0][:_MAX_REASON].rstrip(" .:")


def _axis_names(example: Example) -> Mapping[str, Mapping[int, str]]:
    """Return a name for each axis that varies; axes that had equal lengths in every call share a name."""
    names: dict[tuple[int, ...], str] = {}
    axes: dict[str, dict[int, str]] = {}
    sides = (
        (example.inputs, [call.inputs for call in example.calls]),
        (example.outputs, [call.outputs for call in example.calls]),
    )
    for specs, arrays in sides:
        for spec in specs:
            for axis, length in enumerate(spec.shape):
                if length is None:
                    lengths = tuple(int(each[spec.name].shape[axis]) for each in arrays)
                    axes.setdefault(spec.name, {})[axis] = names.setdefault(lengths, f"axis_{len(names)}")
    return axes
