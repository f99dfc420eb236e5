"""What an ONNX graph consists of, and names for its nodes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

_INT8_LEVELS = 127


def operator_types(path: Path) -> frozenset[str]:
    """Return the types of all operators in a file, also of those in branches and loops."""
    import onnx

    return frozenset(node.op_type for node in _nodes(onnx.load(path, load_external_data=False).graph))


def write_named(source: Path, target: Path) -> None:
    """Write the graph of `source` with a name for every node; a graph whose nodes have names is copied.

    Only nodes with names can be left out of a quantization.
    """
    import onnx

    model = onnx.load(source)
    taken = {node.name for node in model.graph.node}
    if "" not in taken and len(taken) == len(model.graph.node):
        shutil.copyfile(source, target)
        return
    for index, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{index}"
    onnx.save(model, target)


def has_transposed_weight(node: onnx.NodeProto) -> bool:
    """Return whether a product's outputs are the first axis of its weight."""
    return node.op_type == "Gemm" and any(each.name == "transB" and each.i for each in node.attribute)


def int8_scales(weight: NDArray[Any], output_axis: int) -> NDArray[Any]:
    """Return the scale of each output's weights in int8, of as many axes as the weight."""
    import numpy as np

    others = tuple(axis for axis in range(weight.ndim) if axis != output_axis)
    largest = np.abs(weight).max(axis=others, keepdims=True)
    return np.asarray(np.where(largest > 0, largest, 1) / _INT8_LEVELS, dtype=weight.dtype)


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _nodes(attribute.g)
