"""Conversion of a graph with an input for each column into a graph with one array input."""

from __future__ import annotations

from typing import Any

from ...backends.frame_columns import Column, FrameColumns
from .array_estimator import unknown_value

_ARRAY = "columns"


def type_of(column: Column, dtype: str) -> str:
    """Return the element type of a column's input in a graph that computes in `dtype`; text is "str"."""
    if column.kind != "known":
        return dtype
    return "str" if isinstance(column.known[0], str) else "int64"


def with_one_input(graph: Any, columns: FrameColumns) -> Any:
    """Return the graph with one float64 input `(n, columns)` instead of its inputs "c0", "c1" and so on.

    A known value is looked up by its index.
    """
    import numpy as np
    import onnx
    from onnx import TensorProto, compose, helper, numpy_helper

    inner = compose.add_prefix(graph, prefix="of_columns_")
    nodes, initializers = [], []
    for index, (column, given) in enumerate(zip(columns.columns, inner.graph.input, strict=True)):
        elem = given.type.tensor_type.elem_type
        name = f"column_{index}"
        initializers.append(numpy_helper.from_array(np.array([index], np.int64), f"{name}_index"))
        nodes.append(helper.make_node("Gather", [_ARRAY, f"{name}_index"], [name], axis=1))
        if column.kind == "known":
            # One more than there are, because a release is warmed up with ones.
            values = [*column.known, unknown_value(column)]
            array = np.array(values, object if elem == TensorProto.STRING else np.int64)
            initializers.append(numpy_helper.from_array(array, f"{name}_known"))
            nodes.append(helper.make_node("Cast", [name], [f"{name}_place"], to=TensorProto.INT64))
            nodes.append(helper.make_node("Gather", [f"{name}_known", f"{name}_place"], [given.name]))
        else:
            nodes.append(helper.make_node("Cast", [name], [given.name], to=elem))
    array_input = helper.make_tensor_value_info(_ARRAY, TensorProto.DOUBLE, [None, len(columns.columns)])
    whole = helper.make_graph(
        [*nodes, *inner.graph.node],
        "columns",
        [array_input],
        list(inner.graph.output),
        [*initializers, *inner.graph.initializer],
    )
    made = onnx.ModelProto()
    made.CopyFrom(inner)
    made.graph.CopyFrom(whole)
    return made
