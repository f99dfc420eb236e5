"""Weights in int8 with activations rounded in groups: how large the groups are, and what the file computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bento_monitor.backends.openvino import GROUP_SIZE_KEY, OpenVinoBackend
from bento_monitor.releases.release_record import TensorSpec
from bento_monitor.serving_config import Execution
from optimizers.artifacts.grouped import group_size
from optimizers.artifacts.quantize import quantize
from optimizers.errors import ArtifactError
from optimizers.search_space.recipe import GroupedInt8

INPUTS = (TensorSpec("x", "float32", (None, 64)),)
OUTPUTS = (TensorSpec("output", "float32", (None, 32)),)


@pytest.mark.parametrize(
    ("sizes", "largest", "expected"),
    [
        ({384: 100, 1536: 100}, None, 384),  # MiniLM: every product
        ({192: 100, 768: 100}, None, 192),
        ({16: 1, 512: 99}, None, 512),  # the small first layer is left as it is
        ({16: 50, 512: 50}, None, 16),
        ({384: 100, 1536: 100}, 64, 64),
        ({192: 100}, 100, 96),
        ({80: 100}, 64, 16),
    ],
)
def test_groups_divide_the_sums_over_most_weights(sizes: dict[int, int], largest: int | None, expected: int) -> None:
    assert group_size(sizes, largest) == expected


@pytest.mark.parametrize("sizes", [{}, {100: 10}, {8: 10}])
def test_lengths_without_a_group_are_refused(sizes: dict[int, int]) -> None:
    with pytest.raises(ArtifactError, match="no length in common"):
        group_size(sizes, None)


def test_groups_that_are_small_already_are_not_built_again() -> None:
    with pytest.raises(ArtifactError, match="no more than 64"):
        group_size({64: 100}, 64)


def write_layers(path: Path) -> None:
    """Write a graph in which three products share a matrix, once transposed, and one has a factor."""
    generator = np.random.default_rng(0)

    def matrix(*shape: int) -> Any:
        return (generator.normal(size=shape) / 8).astype(np.float32)

    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "shared"], ["a"], "first"),
            helper.make_node("Relu", ["a"], ["b"], "relu"),
            helper.make_node("Gemm", ["b", "shared", "bias"], ["c"], "transposed", transB=1),
            helper.make_node("MatMul", ["c", "shared"], ["d"], "second"),
            helper.make_node("Gemm", ["d", "scaled"], ["e"], "scaled", alpha=0.5),
            helper.make_node("MatMul", ["e", "last"], ["output"], "last"),
        ],
        "layers",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 64])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["n", 32])],
        [
            numpy_helper.from_array(matrix(64, 48), "shared"),
            numpy_helper.from_array(matrix(64), "bias"),
            numpy_helper.from_array(matrix(48, 64), "scaled"),
            numpy_helper.from_array(matrix(64, 32), "last"),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path)


def answers(path: Path, precision: str, x: Any) -> Any:
    execution = Execution("openvino", precision, 1)
    return OpenVinoBackend(path.read_bytes(), execution, inputs=INPUTS, outputs=OUTPUTS).run({"x": x})[0]


def rounded_products(path: Path) -> set[str]:
    graph = onnx.load(path).graph
    made = {output: node.op_type for node in graph.node for output in node.output}
    return {node.name for node in graph.node if len(node.input) > 1 and made.get(node.input[1]) == "DequantizeLinear"}


def test_graph_with_groups_has_close_answers(tmp_path: Path) -> None:
    write_layers(tmp_path / "in.onnx")
    quantize(tmp_path / "in.onnx", tmp_path / "out.onnx", GroupedInt8())
    model = onnx.load(tmp_path / "out.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert {each.key: each.value for each in model.metadata_props}[GROUP_SIZE_KEY] == "16"
    assert rounded_products(tmp_path / "out.onnx") == {"first", "second", "transposed", "last"}
    assert "shared" not in {each.name for each in model.graph.initializer}
    x = np.random.default_rng(1).normal(size=(50, 64)).astype(np.float32)
    expected = answers(tmp_path / "in.onnx", "fp32", x)
    for precision in ("int8-grouped", "int8-grouped-bf16"):
        found = answers(tmp_path / "out.onnx", precision, x)
        assert 0 < np.abs(found - expected).max() < 0.06 * np.abs(expected).max()


def test_excluded_products_stay_in_float(tmp_path: Path) -> None:
    write_layers(tmp_path / "in.onnx")
    quantize(tmp_path / "in.onnx", tmp_path / "out.onnx", GroupedInt8(excluded=("first", "last")))
    assert rounded_products(tmp_path / "out.onnx") == {"second", "transposed"}
    assert "shared" in {each.name for each in onnx.load(tmp_path / "out.onnx").graph.initializer}
