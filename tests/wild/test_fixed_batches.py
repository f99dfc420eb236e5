"""ONNX files and modules with a fixed batch: they get a release or are refused at once, and rows are never mixed.

Seen before: an API passed batches of 2 to a file of one row, and failed after minutes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bento_monitor.errors import ServiceError
from bento_monitor.lab.loadgen.packing import write_bodies
from bento_monitor.lab.model_host.answer_values import read_answers
from bento_monitor.lab.model_host.client import ModelHost
from bento_monitor.lab.model_host.messages import Contender, RequestSource
from bento_monitor.serving_config import Execution
from optimizers.artifacts.artifact_spec import ArtifactSpec
from optimizers.artifacts.build import build_artifact
from optimizers.artifacts.cache import ArtifactCache

SERVICE = '''
import bentoml
import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from bento_monitor.runner import MonitoredRunner

WEIGHT = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)


def write(name, batch):
    """Write a recurrent step with external weights: y = tanh(x w + state), and the next state."""
    sides = [
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, [batch, width]) for n, width in side]
        for side in ((("x", 4), ("state", 3)), (("y", 3), ("next", 3)))
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("Add", ["h", "state"], ["next"]),
        helper.make_node("Tanh", ["next"], ["y"]),
    ]
    graph = helper.make_graph(nodes, "step", *sides, [numpy_helper.from_array(WEIGHT, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.save(model, name, save_as_external_data=True, location=name + ".bin", size_threshold=0)
    return name


class Flat(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.linear = torch.nn.Linear(4, 3)

    def forward(self, x):
        return self.linear(x.view(1, -1))


class Buffered(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = torch.nn.GRU(4, 3, batch_first=True)
        self.register_buffer("state", torch.zeros(1, 1, 3))

    def forward(self, x):
        return self.layers(x[:, None], self.state)[0][:, 0]


def rows(x):
    return np.array(x, dtype=np.float32)


@bentoml.service
class Fixed:
    def __init__(self):
        self.one = MonitoredRunner(write("one.onnx", 1), name="one")
        self.eight = MonitoredRunner(write("eight.onnx", 8), name="eight")
        self.flat = MonitoredRunner(Flat().eval(), name="flat")
        self.buffered = MonitoredRunner(Buffered().eval(), name="buffered")
        self.state = np.zeros((1, 3), np.float32)

    @bentoml.api
    def alone(self, x: np.ndarray) -> np.ndarray:
        return self.one(rows(x), np.zeros((1, 3), np.float32))[0]

    @bentoml.api(batchable=True)
    def straight(self, x: np.ndarray) -> np.ndarray:
        return self.one(rows(x), state=rows(x)[:, :3])[0]

    @bentoml.api(batchable=True, max_batch_size=16)
    def one_by_one(self, x: np.ndarray) -> np.ndarray:
        return np.concatenate([self.one(row[None], row[None, :3])[0] for row in rows(x)])

    @bentoml.api(batchable=True, max_batch_size=8)
    def padded(self, x: np.ndarray) -> np.ndarray:
        padded = np.concatenate([rows(x), np.zeros((8 - len(x), 4), np.float32)])
        return self.eight(padded, padded[:, :3])[0][: len(x)]

    @bentoml.api(batchable=True)
    def not_padded(self, x: np.ndarray) -> np.ndarray:
        return self.eight(rows(x), rows(x)[:, :3])[0]

    @bentoml.api
    def session(self, x: np.ndarray) -> np.ndarray:
        y, after = self.one(rows(x), self.state)
        self.state[:] = after
        return y

    @bentoml.api
    def flat_alone(self, x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return self.flat(torch.from_numpy(rows(x))).numpy()

    @bentoml.api(batchable=True)
    def flat_together(self, x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return self.flat(torch.from_numpy(rows(x))).numpy()

    @bentoml.api(batchable=True)
    def buffered_together(self, x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return self.buffered(torch.from_numpy(rows(x))).numpy()
'''
ROWS = np.random.default_rng(1).normal(size=(20, 4)).astype(np.float32)
WEIGHT = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fixed")
    (folder / "service.py").write_text(SERVICE)
    write_bodies(folder / "rows.npz", [json.dumps({"x": [row.tolist()]}).encode() for row in ROWS])
    return folder


@pytest.fixture(scope="module")
def host(project: Path) -> Iterator[ModelHost]:
    with ModelHost("service:Fixed", project) as running:
        yield running


@pytest.mark.parametrize(("api", "largest"), [("alone", None), ("straight", 1), ("one_by_one", None), ("padded", None)])
def test_file_with_a_fixed_batch_serves_each_request_as_if_alone(
    api: str, largest: int | None, host: ModelHost, project: Path, tmp_path: Path
) -> None:
    source = RequestSource(project / "rows.npz")
    interface = host.capture(api, source)
    assert interface.largest_batch == largest
    artifact = build_artifact(host, interface, ArtifactSpec("onnxruntime", "fp32"), ArtifactCache(tmp_path / "cache"))
    assert artifact.parity is not None
    assert artifact.parity.disagreement is None
    released = Contender(Execution("onnxruntime", "fp32", 1), artifact.path, artifact.sha256, artifact.fixed_axes)
    expected = np.tanh(ROWS @ WEIGHT + (0 if api == "alone" else ROWS[:, :3]))
    for contender in (Contender(), released):
        host.answers(api, source, contender, tmp_path / "a.npz", batch_size=16, seed=2)
        np.testing.assert_allclose(read_answers(tmp_path / "a.npz"), expected, atol=1e-5)
    speeds = host.race(api, source, [Contender(), released], batch_size=16, rounds=1, batches=2, block_s=0.02)
    assert all(speed > 0 for (speed,) in speeds)


def test_module_that_flattens_its_batch_is_released_for_single_requests(
    host: ModelHost, project: Path, tmp_path: Path
) -> None:
    interface = host.capture("flat_alone", RequestSource(project / "rows.npz"))
    assert interface.inputs[0].shape == (1, 4)
    artifact = build_artifact(host, interface, ArtifactSpec("onnxruntime", "fp32"), ArtifactCache(tmp_path / "cache"))
    assert artifact.parity is not None
    assert artifact.parity.disagreement is None


@pytest.mark.parametrize(
    ("api", "words"),
    [
        ("not_padded", r"takes 8 row\(s\) per call"),
        ("session", "a different state for the same request each time"),
        ("flat_together", r"cannot be multiplied.*\. It succeeds on one sample, and fails on 2 together"),
        ("buffered_together", r"Expected hidden size.*fails on 2 together"),
    ],
)
def test_unbatchable_or_stateful_models_are_refused_at_once(
    api: str, words: str, host: ModelHost, project: Path
) -> None:
    with pytest.raises(ServiceError, match=words):
        host.capture(api, RequestSource(project / "rows.npz"))
