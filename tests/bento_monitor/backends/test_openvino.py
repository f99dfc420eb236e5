"""The backend openvino: answers close to onnxruntime's, in several threads, and no connection to its makers."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bento_monitor.backends.onnxruntime import OnnxRuntimeBackend
from bento_monitor.backends.openvino import GROUP_SIZE_KEY, OpenVinoBackend
from bento_monitor.errors import ReleaseError
from bento_monitor.releases.release_record import TensorSpec
from bento_monitor.serving_config import Execution

INPUTS = (TensorSpec("x", "float32", (None, 64)),)
OUTPUTS = (TensorSpec("output", "float32", (None, 32)),)
WEIGHT = np.random.default_rng(0).normal(size=(64, 32)).astype(np.float32)


@pytest.fixture(scope="module")
def graph() -> bytes:
    made = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Relu", ["m"], ["output"])],
        "layer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 64])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["n", 32])],
        [numpy_helper.from_array(WEIGHT, "w")],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    serialized: bytes = model.SerializeToString()
    onnx.checker.check_model(serialized)
    return serialized


def backend(graph: bytes, precision: str = "fp32", streams: int = 1) -> OpenVinoBackend:
    execution = Execution("openvino", precision, 1, streams=streams)
    return OpenVinoBackend(graph, execution, inputs=INPUTS, outputs=OUTPUTS)


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-4), ("bf16", 0.3)])
def test_answers_are_close_to_those_of_onnxruntime_for_every_batch_size(
    graph: bytes, precision: str, tolerance: float
) -> None:
    reference = OnnxRuntimeBackend(graph, Execution("onnxruntime", "fp32", 1), inputs=INPUTS, outputs=OUTPUTS)
    compiled = backend(graph, precision)
    for rows in (1, 3, 32, 2):
        x = np.random.default_rng(rows).normal(size=(rows, 64)).astype(np.float32)
        (found,) = compiled.run({"x": x})
        np.testing.assert_allclose(found, reference.run({"x": x})[0], atol=tolerance)
        assert found.dtype == np.float32


def with_int8_weights(group_size: str | None) -> bytes:
    scales = np.abs(WEIGHT).max(axis=0) / 127
    made = helper.make_graph(
        [
            helper.make_node("DequantizeLinear", ["w", "s"], ["f"], axis=1),
            helper.make_node("MatMul", ["x", "f"], ["output"]),
        ],
        "layer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 64])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["n", 32])],
        [
            numpy_helper.from_array(np.round(WEIGHT / scales).astype(np.int8), "w"),
            numpy_helper.from_array(scales.astype(np.float32), "s"),
        ],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    if group_size is not None:
        helper.set_model_props(model, {GROUP_SIZE_KEY: group_size})
    serialized: bytes = model.SerializeToString()
    return serialized


def test_activations_are_rounded_only_if_the_file_asks_for_it() -> None:
    x = np.random.default_rng(1).normal(size=(40, 64)).astype(np.float32)
    scales = np.abs(WEIGHT).max(axis=0) / 127
    exact = x @ (np.round(WEIGHT / scales) * scales)
    (kept,) = backend(with_int8_weights(None)).run({"x": x})
    np.testing.assert_allclose(kept, exact, atol=1e-3)
    (rounded,) = backend(with_int8_weights("64")).run({"x": x})
    assert 1e-3 < np.abs(rounded - exact).max() < 0.03 * np.abs(exact).max()


@pytest.mark.parametrize("precision", ["int8-grouped", "int8-grouped-bf16", "int8-grouped-64-bf16-float-edges"])
def test_answer_by_groups_does_not_depend_on_the_rest_of_the_batch(precision: str) -> None:
    compiled = backend(with_int8_weights("32"), precision)
    x = np.random.default_rng(2).normal(size=(24, 64)).astype(np.float32)
    x[3] *= 1000  # would set the scale of its neighbours if they shared it
    (together,) = compiled.run({"x": x})
    np.testing.assert_array_equal(together, np.concatenate([compiled.run({"x": row[None]})[0] for row in x]))


def test_concurrent_calls_get_their_own_answers(graph: bytes) -> None:
    compiled = backend(graph, streams=2)
    inputs = [np.full((1 + index % 5, 64), index, dtype=np.float32) for index in range(200)]

    def run(x: Any) -> Any:
        return compiled.run({"x": x})[0]

    with ThreadPoolExecutor(4) as pool:
        for x, found in zip(inputs, pool.map(run, inputs), strict=True):
            np.testing.assert_allclose(found, np.maximum(x @ WEIGHT, 0), rtol=1e-4, atol=1e-3)


def test_answer_is_not_overwritten_by_the_next_call(graph: bytes) -> None:
    compiled = backend(graph)
    (first,) = compiled.run({"x": np.ones((2, 64), np.float32)})
    kept = first.copy()
    compiled.run({"x": np.zeros((2, 64), np.float32)})
    np.testing.assert_array_equal(first, kept)


_OPEN = """
from bento_monitor.backends.openvino import OpenVinoBackend
from bento_monitor.releases.release_record import TensorSpec
from bento_monitor.serving_config import Execution
import numpy as np
backend = OpenVinoBackend(
    open(sys.argv[1], "rb").read(),
    Execution("openvino", sys.argv[2], 1),
    inputs=(TensorSpec("x", "float32", (None, 64)),),
    outputs=(TensorSpec("output", "float32", (None, 32)),),
)
"""

_FIRST_CALLS = f"""
import faulthandler, sys, threading
faulthandler.dump_traceback_later(20, exit=True)
{_OPEN}
together = threading.Barrier(8)
answers = []

def call(value):
    row = np.full((1, 64), value, np.float32)
    together.wait()
    answers.append(backend.run({{"x": row}})[0].shape)

threads = [threading.Thread(target=call, args=(value,)) for value in range(8)]
sys.setswitchinterval(1e-6)  # threads change places at every chance
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(answers == [(1, 32)] * 8)
"""


def test_first_calls_of_a_process_do_not_wait_for_each_other(graph: bytes, tmp_path: Path) -> None:
    (tmp_path / "graph.onnx").write_bytes(graph)
    command = [sys.executable, "-c", _FIRST_CALLS, str(tmp_path / "graph.onnx"), "fp32"]
    for _ in range(3):  # each finds two of three deadlocks
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout.split()) == (0, ["True"]), done.stderr


def test_file_that_is_no_graph_is_refused(graph: bytes) -> None:
    with pytest.raises(ReleaseError, match="cannot compile"):
        backend(graph[: len(graph) // 2])


def test_graph_with_other_inputs_is_refused(graph: bytes) -> None:
    with pytest.raises(ReleaseError, match="not those of the release"):
        OpenVinoBackend(
            graph,
            Execution("openvino", "fp32", 1),
            inputs=(TensorSpec("y", "float32", (None, 64)),),
            outputs=OUTPUTS,
        )


_RECORD = f"""
import sys
found = []
sys.addaudithook(lambda event, args: found.append((event, args)) if event.startswith("socket.") else None)
{_OPEN}
backend.run({{"x": np.ones((2, 64), np.float32)}})
import openvino.tools.ovc
print(len(found), sys.modules["openvino_telemetry"])
"""


def test_no_socket_is_opened(graph: bytes, tmp_path: Path) -> None:
    (tmp_path / "graph.onnx").write_bytes(graph)
    command = [sys.executable, "-c", _RECORD, str(tmp_path / "graph.onnx"), "bf16"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"HOME": str(tmp_path)})
    assert done.stdout.split() == ["0", "None"]
    assert list(tmp_path.iterdir()) == [tmp_path / "graph.onnx"]  # no id of this machine was stored
