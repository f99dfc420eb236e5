"""ONNX files of any kind can be wrapped: with their own names, external data, a state and scalars.

Seen before: a scalar input got an axis; a release of a file with the output `logits` could not be loaded, since it was
recorded as `output`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bento_monitor.backends.own import OwnOnnxFile
from bento_monitor.lab.model_host.copy_onnx import copy_onnx_file
from bento_monitor.releases.release_record import OutputForm, Release, TensorSpec
from bento_monitor.resilience.atomic_files import sha256_of
from bento_monitor.runner import MonitoredRunner
from bento_monitor.serving_config import Execution


def onnx_file(path: Path, batch: int | str = "n", *, external: bool = False) -> Path:
    """Write a file like silero's: rows, a state with the batch on its second axis, and a scalar rate."""
    nodes = [
        helper.make_node("Cast", ["rate"], ["factor"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["x", "w"], ["product"]),
        helper.make_node("Mul", ["product", "factor"], ["logits"]),
        helper.make_node("Identity", ["state"], ["next_state"]),
    ]
    graph = helper.make_graph(
        nodes,
        "stateful",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 4]),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, [2, batch, 3]),
            helper.make_tensor_value_info("rate", TensorProto.INT64, []),
        ],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, 2]),
            helper.make_tensor_value_info("next_state", TensorProto.FLOAT, [2, batch, 3]),
        ],
        [numpy_helper.from_array(np.ones((4, 2), np.float32), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.save(model, path, save_as_external_data=external, location="weights.bin", size_threshold=0)
    return path


@pytest.mark.parametrize(("batch", "fixed"), [("n", None), (1, 1), (5, 5)])
def test_batch_axis_is_found_with_a_state_and_a_scalar(batch: Any, fixed: int | None, tmp_path: Path) -> None:
    own = OwnOnnxFile(onnx_file(tmp_path / "model.onnx", batch))
    assert own.fixed_batch == fixed
    assert own.batch_axes == {"x": 0, "state": 1, "rate": None}
    assert own.output_names == ("logits", "next_state")
    count = fixed or 3
    x, state = np.ones((count, 4), np.float32), np.ones((2, count, 3), np.float32)
    logits, after = own.run((x, state, np.array(3)), {})
    assert (logits == 12).all()
    assert after.shape == state.shape


@pytest.mark.parametrize("names", [("logits", "next_state"), ("output_0", "output_1")])
def test_file_with_external_data_is_released_by_name_and_by_position(names: tuple[str, str], tmp_path: Path) -> None:
    source = onnx_file(tmp_path / "model.onnx", external=True)
    assert (tmp_path / "weights.bin").exists()
    folder = tmp_path / "release"
    folder.mkdir()
    copy_onnx_file(source, folder / "copy.onnx")
    runner = MonitoredRunner(source)
    release = Release(
        name="svc-release:1",
        service="Svc",
        apis=("predict",),
        runner="model",
        execution=Execution("onnxruntime", "fp32", 1),
        batching=None,
        workers=None,
        artifact_file="copy.onnx",
        artifact_sha256=sha256_of(folder / "copy.onnx"),
        inputs=(
            TensorSpec("x", "float32", (None, 4), (2, 4)),
            TensorSpec("state", "float32", (2, None, 3), (2, 2, 3)),
            TensorSpec("rate", "int64", ()),
        ),
        outputs=(
            TensorSpec(names[0], "float32", (None, 2), (2, 2)),
            TensorSpec(names[1], "float32", (2, None, 3), (2, 2, 3)),
        ),
        output_form=OutputForm("tuple", "inputs"),
    )
    x, state = np.ones((2, 4), np.float32), np.ones((2, 2, 3), np.float32)
    expected = runner(x, state, np.array(3))
    runner.activate(runner.prepare(release, folder))
    for answer, own in zip(runner(x, state, np.array(3)), expected, strict=True):
        np.testing.assert_array_equal(answer, own)
    assert runner.fallbacks.totals() == {}
