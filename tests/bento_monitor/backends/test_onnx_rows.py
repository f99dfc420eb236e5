"""A user's ONNX file with a fixed batch size never gets more rows than it takes, and rows are never mixed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from captured import captured
from onnx import TensorProto, helper, numpy_helper

from bento_monitor.backends.own import OwnOnnxFile
from bento_monitor.errors import ServiceError
from bento_monitor.lab.model_host.export import export
from bento_monitor.lab.model_host.messages import Contender
from bento_monitor.lab.model_host.parity import parity
from bento_monitor.resilience.atomic_files import sha256_of
from bento_monitor.runner import MonitoredRunner
from bento_monitor.serving_config import Execution

Shape = list[int | str]
GENERATOR = np.random.default_rng(0)


def onnx_file(path: Path, nodes: list[Any], inputs: dict[str, Shape], outputs: dict[str, Shape]) -> Path:
    weights = [numpy_helper.from_array(np.arange(8, dtype=np.float32).reshape(4, 2), "w")]
    sides = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in side.items()]
        for side in (inputs, outputs)
    ]
    graph = helper.make_graph(nodes, "rows", *sides, weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path)
    return path


def linear(path: Path, batch: int, output: Shape | None = None) -> Path:
    return onnx_file(
        path, [helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": [batch, 4]}, {"y": output or [batch, 2]}
    )


def recurrent(path: Path, layers: int) -> Path:
    """Write a step of a recurrent model: the state of each row is the sum of its own inputs, one state per layer."""
    nodes = [
        helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=1),
        helper.make_node("Add", ["state", "sum"], ["next"]),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
    ]
    state: Shape = [layers, 1, 3]
    return onnx_file(path, nodes, {"x": [1, 4], "state": state}, {"y": [1, 2], "next": state})


def draw(*shape: int) -> np.ndarray:
    return GENERATOR.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("rows", [1, 2, 7])
def test_several_rows_are_run_as_single_rows(rows: int, tmp_path: Path) -> None:
    runner = MonitoredRunner(linear(tmp_path / "m.onnx", 1))
    x = draw(rows, 4)
    alone = [runner(row[None]) for row in x]
    np.testing.assert_array_equal(runner(x), np.concatenate(alone))
    assert isinstance(runner(torch.from_numpy(x)), torch.Tensor)


@pytest.mark.parametrize("layers", [1, 2])
def test_each_row_has_its_own_state(layers: int, tmp_path: Path) -> None:
    own = OwnOnnxFile(recurrent(tmp_path / "m.onnx", layers))
    x, state = draw(5, 4), draw(layers, 5, 3)
    y, after = own.run((x, state), {})
    assert (y.shape, after.shape) == ((5, 2), (layers, 5, 3))
    for row in range(5):
        alone, own_state = own.run((x[[row]], state[:, [row]]), {})
        np.testing.assert_array_equal(y[[row]], alone)
        np.testing.assert_array_equal(after[:, [row]], own_state)


def test_release_is_run_row_by_row_too(tmp_path: Path) -> None:
    path = tmp_path / "copy.onnx"
    calls = [{"x": draw(rows, 4), "state": draw(2, rows, 3)} for rows in (1, 3, 6)]
    with captured(recurrent(tmp_path / "m.onnx", 2), *calls) as state:
        state.service = SimpleNamespace(name="Service")
        export(state, path, "copy", 17)
        assert parity(state, path).disagreement is None
        _, runner = state.captured()
        runner.activate(state.prepare(Contender(Execution("onnxruntime", "fp32", 1), path, sha256_of(path))))
        for call in state.calls:
            for found, expected in zip(runner(**call.inputs), call.outputs.values(), strict=True):
                np.testing.assert_allclose(found, expected, atol=1e-6)
    assert runner.fallbacks.totals() == {}


@pytest.mark.parametrize(
    ("batch", "given", "words"),
    [
        (8, (3, 4), r"takes 8 row\(s\) per call: its input x has the shape \(8, 4\), but the call has \(3, 4\)"),
        (8, (16, 4), r"that is 16 row\(s\)\. Pass 8"),
        (1, (0, 4), r"takes 1 row\(s\)"),
    ],
)
def test_wrong_number_of_rows_is_refused(batch: int, given: tuple[int, ...], words: str, tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match=words):
        OwnOnnxFile(linear(tmp_path / "m.onnx", batch)).run((np.zeros(given, np.float32),), {})


def test_state_of_one_row_is_not_shared_by_several(tmp_path: Path) -> None:
    own = OwnOnnxFile(recurrent(tmp_path / "m.onnx", 2))
    with pytest.raises(ServiceError, match="takes 1 row"):
        own.run((draw(5, 4), draw(2, 1, 3)), {})
    with pytest.raises(ServiceError, match=r"its input state has the shape \(2, 1, 3\)"):
        own.run((draw(1, 4), draw(2, 5, 3)), {})


def test_output_without_rows_is_refused_for_several_rows(tmp_path: Path) -> None:
    nodes = [helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0)]
    own = OwnOnnxFile(onnx_file(tmp_path / "m.onnx", nodes, {"x": [1, 4]}, {"y": []}))
    with pytest.raises(ServiceError, match=r"output y of the shape \(\) has no unique axis"):
        own.run((draw(2, 4),), {})
    assert own.run((draw(1, 4),), {}).shape == ()


def test_channels_are_not_rows(tmp_path: Path) -> None:
    nodes = [helper.make_node("ReduceSum", ["x"], ["y"], keepdims=1)]
    own = OwnOnnxFile(onnx_file(tmp_path / "m.onnx", nodes, {"x": [1, 1, 4, 4]}, {"y": [1, 1, 1, 1]}))
    with pytest.raises(Exception, match="Got: 3 Expected: 1"):
        own.run((draw(1, 3, 4, 4),), {})
    assert own.run((draw(3, 1, 4, 4),), {}).shape == (3, 1, 1, 1)


def test_wrong_width_is_refused_by_onnxruntime(tmp_path: Path) -> None:
    own = OwnOnnxFile(linear(tmp_path / "m.onnx", 1))
    with pytest.raises(Exception, match="Got: 5 Expected: 4"):
        own.run((draw(3, 5),), {})
