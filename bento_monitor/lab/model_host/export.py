"""The operation `export`: write the model as an ONNX file, with all its branches or with none."""

from __future__ import annotations

import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...backends.arrays import to_numpy
from ...backends.outputs import flatten_output
from ...backends.own import OwnOnnxFile
from ...errors import BentoMonitorError
from .array_estimator import ArrayEstimator
from .branches import Flow, ValueRead, call_with_other_branch, control_flow
from .closeness import same_outputs
from .convert_estimator import convert_estimator
from .copy_onnx import copy_onnx_file
from .estimator_parity import captured_rows
from .export_record import ExportEvidence, FixedAxis, with_fixed_axes, write_evidence
from .exporters import Example, example_of, reason_of, write_dynamo, write_fused, write_scripted, write_traced
from .flat_module import flat_module, original_module
from .messages import Exporter, ModelInterface
from .state import HostState

_UNKNOWN_TO_ONNXRUNTIME = ("bfloat16", "complex64", "complex128", "complex32")


def export(state: HostState, path: Path, exporter: Exporter, opset: int, fixed_because: str | None = None) -> None:
    """Write the model as an ONNX file with its export evidence; copy the file of a runner that wraps one.

    With `fixed_because`, a reason in words, input axes that have one length in all samples are fixed to it.

    Raises:
        BentoMonitorError: the exporter fails, or the file would hold only one of several paths through the model.
    """
    interface, runner = state.captured()
    own = runner.own_model
    if isinstance(own, OwnOnnxFile):
        copy_onnx_file(own.path, path)
        return
    if own.kind == "estimator":
        methods = [spec.name for spec in interface.outputs]
        estimator = ArrayEstimator(own, state.frames)
        convert_estimator(estimator, methods, interface.inputs, path, rows=captured_rows(state.calls))
        return
    module = original_module(own.model)
    _require_exportable(module, interface)
    device = None if own.parameter is None else own.parameter.device
    fixed_axes = () if fixed_because is None else interface.probed_axes
    example = example_of(
        with_fixed_axes(interface.inputs, fixed_axes),
        interface.outputs,
        state.sample_calls if fixed_axes else state.calls,
        device,
    )
    try:
        evidence = _EXPORTERS[exporter](module, example, path, opset)
    except BentoMonitorError:
        raise
    except Exception as error:
        raise BentoMonitorError(f"The exporter {exporter} fails on the model: {reason_of(error)}.") from error
    if fixed_because is not None:
        note = f"{evidence.note} {_words_for(fixed_axes, fixed_because)}".strip()
        evidence = replace(evidence, note=note, fixed_axes=fixed_axes)
    write_evidence(path, evidence)


def _words_for(fixed_axes: Sequence[FixedAxis], because: str) -> str:
    lengths = ", ".join(f"{fixed.length} in axis {fixed.axis} of {fixed.input}" for fixed in fixed_axes)
    return (
        f"The graph takes only the samples' length, {lengths}; the own model runs other calls. A graph for those was "
        f"not made: {because}"
    )


def _export_torchscript(module: Any, example: Example, path: Path, opset: int) -> ExportEvidence:
    """Trace the module if no value affects the path; else script it; else trace it if lost branches are harmless."""
    import torch

    if isinstance(module, torch.jit.ScriptModule):
        return _export_scripted(module, example, path, opset)
    with flat_module(module, example.inputs) as flat:
        flow = control_flow(flat, example.tensors, example.inputs)
        if flow.is_independent:
            found = write_traced(flat, example, path, opset)
            return ExportEvidence("traced", "independent", found, flow.limits)
    lines = ", ".join(sorted({reading.line for reading in flow.readings}))
    try:
        return replace(_export_scripted(module, example, path, opset), note=f"The graph keeps the branches at {lines}.")
    except Exception:
        traceback.print_exc(file=sys.stderr)
    with flat_module(module, example.inputs) as flat:
        _require_harmless(flat, example, flow)
        found = write_traced(flat, example, path, opset)
    return ExportEvidence(
        "traced",
        "data-dependent",
        found,
        note=f"Only tracing works: the graph holds one side of the branch at {lines}.",
    )


def _export_fused(module: Any, example: Example, path: Path, opset: int) -> ExportEvidence:
    """Trace a module if no value affects the path, with its attention fused."""
    with flat_module(module, example.inputs) as flat:
        flow = control_flow(flat, example.tensors, example.inputs)
        if not flow.is_independent:
            raise BentoMonitorError("The model branches on values of its inputs: attention is fused by tracing alone.")
        found = write_fused(flat, example, path, opset)
    return ExportEvidence("traced", "independent", found, flow.limits)


def _export_scripted(module: Any, example: Example, path: Path, opset: int) -> ExportEvidence:
    """Export the module as TorchScript, compiled from its code unless it is TorchScript already."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.script(module)
    with flat_module(scripted, example.inputs) as flat:
        return ExportEvidence("scripted", "kept", write_scripted(flat, example, path, opset))


def _export_dynamo(module: Any, example: Example, path: Path, opset: int) -> ExportEvidence:
    with flat_module(module, example.inputs) as flat:
        return ExportEvidence("dynamo", "independent", write_dynamo(flat, example, path, opset))


_EXPORTERS: dict[Exporter, Callable[[Any, Example, Path, int], ExportEvidence]] = {
    "torchscript": _export_torchscript,
    "fused": _export_fused,
    "scripted": _export_scripted,
    "dynamo": _export_dynamo,
}


def _require_harmless(flat: Any, example: Example, flow: Flow) -> None:
    """Raise if a branch that tracing loses changes the outputs; a branch that only raises an error may be lost."""
    expected = _outputs(flat(*example.tensors))
    for reading in flow.readings:
        if not reading.is_decision:
            raise _baked_in(reading)
        other = None
        with suppress(Exception):  # such as an assertion: the graph only lacks the error
            other = _outputs(call_with_other_branch(flat, example.tensors, reading))
        if other is not None and not same_outputs(expected, other):
            raise _baked_in(reading)


def _baked_in(reading: ValueRead) -> BentoMonitorError:
    return BentoMonitorError(
        f"The model branches on the values of its inputs at {reading.line} ({reading.function} of a tensor), and a "
        "traced graph would keep one side of it for every input: use torch.where there, or code that torch.jit.script "
        "supports. Otherwise only torch can run the model."
    )


def _outputs(output: Any) -> list[Any]:
    return [to_numpy(array) for array in flatten_output(output)[2]]


def _require_exportable(module: Any, interface: ModelInterface) -> None:
    weights = {str(parameter.dtype).removeprefix("torch.") for parameter in module.parameters()}
    dtypes = {spec.dtype for spec in (*interface.inputs, *interface.outputs)}
    if unknown := sorted((weights | dtypes) & set(_UNKNOWN_TO_ONNXRUNTIME)):
        raise BentoMonitorError(
            f"The model computes in {' and '.join(unknown)}, for which onnxruntime has no operators on a CPU: only "
            "torch can run it."
        )
    if twice := sorted({spec.name for spec in interface.inputs} & {spec.name for spec in interface.outputs}):
        raise BentoMonitorError(
            f"The model has an input and an output named {twice[0]}, which an ONNX graph cannot have: rename the "
            "output; otherwise only torch can run the model."
        )
