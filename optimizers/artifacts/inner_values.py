"""What flows inside a graph on the calls that static quantization is calibrated on."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .calibration_inputs import CalibrationInputs

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

MAX_CALLS = 4
# 256 levels up to it round everything that a network computes to zero. Masks are added as -1e4, -1e9 or -infinity.
_EXTREME = 1e4


def inner_values(
    graph: Path, model: onnx.ModelProto, calibration: Path, names: Collection[str]
) -> Iterator[Mapping[str, NDArray[Any]]]:
    """Yield the values of the tensors of `names`, which are no constants, for the first `MAX_CALLS` calls.

    `model` is what is in the file `graph`; the tensors become outputs of it.
    """
    import onnx
    import onnxruntime as ort

    given = {item.name for item in model.graph.input}
    wanted = sorted(set(names) - given)
    known = {output.name for output in model.graph.output}
    for name in wanted:
        if name not in known:
            model.graph.output.append(onnx.ValueInfoProto(name=name))
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for call in islice(CalibrationInputs(calibration, graph, is_padded=False), MAX_CALLS):
        computed = session.run(wanted, dict(call)) if wanted else []
        yield {**call, **dict(zip(wanted, computed, strict=True))}


def types_with_extremes(graph: Path, calibration: Path, types: Collection[str]) -> set[str]:
    """Return those of the types whose operators get or give numbers too large for a scale: infinite, or of a mask."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(graph)
    extreme = {each.name for each in model.graph.initializer if _is_extreme(numpy_helper.to_array(each))}
    types_of: dict[str, set[str]] = {}
    for node in model.graph.node:
        for name in filter(None, (*node.input, *node.output) if node.op_type in types else ()):
            types_of.setdefault(name, set()).add(node.op_type)
    inner = types_of.keys() - {each.name for each in model.graph.initializer}
    for values in inner_values(graph, model, calibration, inner):
        extreme |= {name for name, value in values.items() if _is_extreme(value)}
    return set().union(*(types_of.get(name, ()) for name in extreme))


def _is_extreme(value: Any) -> bool:
    import numpy as np

    if not isinstance(value, np.ndarray) or value.dtype.kind != "f" or not value.size:
        return False  # a list of tensors has no scale
    return not bool(np.abs(value).max() < _EXTREME)
