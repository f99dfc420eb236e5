"""An ONNX graph with one output for each method of an estimator, composed of the converters' graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...releases.release_record import TensorSpec


@dataclass(frozen=True, slots=True)
class Source:
    """Source of a method's output: an output of one of the converted graphs, and the operations on it.

    `column` selects one column; `is_log` applies the logarithm.
    """

    graph: int
    output: int
    column: int | None = None
    is_log: bool = False

    def of(self, outputs: Sequence[Sequence[Any]], shape: tuple[int, ...]) -> Any | None:
        """Return the method's output in the given shape from the outputs of all graphs; None if it does not fit."""
        import numpy as np

        if self.graph >= len(outputs) or self.output >= len(outputs[self.graph]):
            return None
        value = outputs[self.graph][self.output]
        if self.column is not None:
            if value.ndim != 2 or value.shape[1] != self.column + 1:
                return None
            value = value[:, self.column]
        if self.is_log:
            if value.dtype.kind != "f":
                return None
            with np.errstate(divide="ignore", invalid="ignore"):
                value = np.log(value)
        return value.reshape(shape) if value.size == np.prod(shape) else None


def write_graph(
    path: Path,
    spec: TensorSpec,
    graphs: Sequence[Any],
    sources: Mapping[str, Source],
    outputs: Sequence[TensorSpec],
) -> None:
    """Write one graph that casts its input for each converted graph, and has an output for each method."""
    import numpy as np
    import onnx
    from onnx import TensorProto, compose, helper, numpy_helper

    given = helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype))
    nodes, initializers, infos = [], [], []
    opsets: dict[str, int] = {}
    for index in sorted({source.graph for source in sources.values()}):
        model = compose.add_prefix(graphs[index], prefix=f"g{index}_")
        inner = model.graph.input[0]
        nodes.append(helper.make_node("Cast", [spec.name], [inner.name], to=inner.type.tensor_type.elem_type))
        nodes += model.graph.node
        initializers += model.graph.initializer
        for each in model.opset_import:
            opsets[each.domain] = max(each.version, opsets.get(each.domain, 1))
    for output in outputs:
        source = sources[output.name]
        value = f"g{source.graph}_{graphs[source.graph].graph.output[source.output].name}"
        elem = graphs[source.graph].graph.output[source.output].type.tensor_type.elem_type
        for step, (op, constant, attributes) in enumerate(_steps(source, output)):
            names = [value]
            if constant is not None:
                initializers.append(
                    numpy_helper.from_array(np.array(constant, np.int64), f"{output.name}_{step}_value")
                )
                names.append(initializers[-1].name)
            value = f"{output.name}_{step}"
            nodes.append(helper.make_node(op, names, [value], **attributes))
        nodes.append(helper.make_node("Identity", [value], [output.name]))
        infos.append(helper.make_tensor_value_info(output.name, elem or TensorProto.FLOAT, _axes(output)))
    shape = [f"{spec.name}_{axis}" if length is None else length for axis, length in enumerate(spec.shape)]
    graph = helper.make_graph(
        nodes, "estimator", [helper.make_tensor_value_info(spec.name, given, shape)], infos, initializers
    )
    imports = [helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    versions = [each.ir_version for each in graphs]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=max(versions)), path)


def note_in_graph(path: Path, entries: Mapping[str, str]) -> None:
    """Add entries to the metadata of an ONNX file.

    protobuf reads concatenated serialized messages as one message, so the file is not parsed.
    """
    import onnx

    properties = [onnx.StringStringEntryProto(key=key, value=value) for key, value in entries.items()]
    with path.open("ab") as file:
        file.write(onnx.ModelProto(metadata_props=properties).SerializeToString())


def _steps(source: Source, output: TensorSpec) -> list[tuple[str, list[int] | None, dict[str, Any]]]:
    steps: list[tuple[str, list[int] | None, dict[str, Any]]] = []
    if source.column is not None:
        steps.append(("Gather", [source.column], {"axis": 1}))
    if source.is_log:
        steps.append(("Log", None, {}))
    lengths = [length for length in output.shape[1:] if length is not None]
    return [*steps, ("Reshape", [-1, *lengths], {})]


def _axes(output: TensorSpec) -> list[int | str]:
    return ["rows" if length is None else length for length in output.shape]
