"""Graphs with int8 products whose pairwise sums do not fit 16 bits, the sums that x86 without VNNI makes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bento_monitor.backends import onnxruntime as backend
from bento_monitor.serving_config import Execution

WIDTH = 8


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """Write a graph of 8-bit `x` times a matrix of 127, in 32 bits."""
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["bits", "scale", "zero"]),
        helper.make_node("MatMulInteger", ["bits", "w", "zero"], ["sums"]),
        helper.make_node("Cast", ["sums"], ["output"], to=TensorProto.FLOAT),
    ]
    made = helper.make_graph(
        nodes,
        "int8",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", WIDTH])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["n", WIDTH])],
        [numpy_helper.from_array(np.full((WIDTH, WIDTH), 127, np.int8), "w")],
    )
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path)
    return path


@pytest.mark.parametrize("exactly", [True, False], ids=["as this machine is", "as one without VNNI"])
def test_pairs_of_products_past_16_bits_are_not_clipped(
    graph: Path, exactly: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not exactly:
        monkeypatch.setattr(backend, "sums_int8_exactly", lambda: False)
    session = backend._session(graph.read_bytes(), Execution("onnxruntime", "int8-dynamic-per-tensor", 1))
    (found,) = session.run(None, {"x": np.ones((3, WIDTH), np.float32)})
    assert (found == 255 * 127 * WIDTH).all()
