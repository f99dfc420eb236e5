"""The operation `parity`: comparison of an ONNX file with the model, on seen and unseen inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...backends.arrays import inference_mode, to_numpy
from ...backends.onnx_rows import RowsSession
from ...backends.onnxruntime import as_input, default_session, input_dtypes
from ...backends.outputs import flatten_output
from ...backends.own import OwnModel
from .array_estimator import ArrayEstimator
from .closeness import LARGEST, largest_difference, same_outputs
from .estimator_parity import graph_parity
from .export_record import ExportEvidence, read_evidence, with_fixed_axes
from .exporters import first_sentence
from .messages import Parity
from .perturbed import Inputs, jittered, like, perturbed_inputs
from .state import HostState


def parity(state: HostState, path: Path) -> Parity:
    """Run all captured calls, and perturbed ones, through the file and through the model itself.

    Raises:
        ServiceError: the file cannot be loaded.
    """
    interface, runner = state.captured()
    own = runner.own_model
    if own.kind == "estimator":
        return graph_parity(
            ArrayEstimator(own, state.frames), [spec.name for spec in interface.outputs], path, state.calls
        )
    session = default_session(path)
    names = [spec.name for spec in interface.outputs]
    if own.kind == "onnx":
        names = [output.name for output in session.get_outputs()]
    graph = _Graph(session, names)
    evidence = read_evidence(session)
    fixed_axes = () if evidence is None else evidence.fixed_axes
    calls = state.sample_calls if fixed_axes else state.calls
    difference = value = 0.0
    disagreement: str | None = None
    for call in calls:
        expected, found = _own_outputs(own, call.inputs), graph.outputs(call.inputs)
        if isinstance(found, str):
            return Parity(difference, value, 0, f"it fails on inputs of the samples: {found}", evidence)
        gap, size = largest_difference(expected, found)
        difference, value = max(difference, gap), max(value, size)
        if disagreement is None and not same_outputs(expected, found):
            disagreement = f"it differs by {gap:.2g} where the model's outputs reach {size:.2g}"
    count, unlike = 0, None
    if disagreement is None and evidence is not None:
        inputs = with_fixed_axes(interface.inputs, fixed_axes)
        count, unlike = _compare_perturbed(own, graph, evidence, perturbed_inputs(calls, inputs, evidence.limits))
    return Parity(min(difference, LARGEST), value, count, disagreement or unlike, evidence)


class _Graph:
    """An ONNX file in a session: the outputs for inputs by name, or the reason why there are none."""

    def __init__(self, session: Any, names: Sequence[str]) -> None:
        self._rows = RowsSession(session)
        self._names = names
        self._dtypes = input_dtypes(session)

    def outputs(self, inputs: Mapping[str, Any]) -> list[Any] | str:
        feed = {name: as_input(inputs[name], dtype) for name, dtype in self._dtypes.items()}
        try:
            return self._rows.run(self._names, feed)
        except Exception as error:
            return first_sentence(str(error).rpartition("Status Message:")[2].rpartition(" was false. ")[2])


def _compare_perturbed(
    own: OwnModel, graph: _Graph, evidence: ExportEvidence, perturbed: Iterable[tuple[str, Inputs]]
) -> tuple[int, str | None]:
    """Return the number of perturbed inputs compared, and the first difference between file and model, in words."""
    count = 0
    for what, inputs in perturbed:
        expected = steady = None
        with suppress(Exception):  # the module itself does not accept them
            expected = _own_outputs(own, inputs)
        if expected is None:
            continue
        count += 1
        found = graph.outputs(inputs)
        where = "" if not evidence.warnings else f" (the tracer warned of {evidence.warnings[0]})"
        if isinstance(found, str):
            return count, f"it fails on {what}, which the model accepts: {found}{where}"
        if same_outputs(expected, found, only_finite=True):
            continue
        with suppress(Exception):  # the module may not accept its inputs changed by their rounding
            steady = _own_outputs(own, jittered(inputs))
        if steady is not None and not same_outputs(expected, found, jittered=steady, only_finite=True):
            gap, size = largest_difference(expected, found)
            return count, f"on {what} it differs by {gap:.2g} where the model's outputs reach {size:.2g}{where}"
    return count, None


def _own_outputs(own: OwnModel, inputs: Mapping[str, Any]) -> list[Any]:
    with inference_mode():
        copies = {name: like(value, to_numpy(value).copy()) for name, value in inputs.items()}  # models may change them
        return [to_numpy(array) for array in flatten_output(own.run((), copies))[2]]
