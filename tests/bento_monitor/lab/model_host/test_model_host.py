from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bento_monitor.errors import InputError, MeasurementError, ReleaseError, ServiceError
from bento_monitor.lab.loadgen.packing import write_bodies
from bento_monitor.lab.model_host.answer_values import read_answers
from bento_monitor.lab.model_host.client import ModelHost
from bento_monitor.lab.model_host.messages import Contender, ModelInterface, RequestSource
from bento_monitor.resilience.atomic_files import sha256_of
from bento_monitor.serving_config import Execution

SERVICE = """
import os, sys
import bentoml
import numpy as np
import torch
from optimizers import SCALE          # the user's own folder of that name
from bento_monitor.runner import MonitoredRunner

print("a line that must not break the protocol")

class Encoder(torch.nn.Module):       # never told .eval() itself; its part was
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embedding = torch.nn.Embedding(128, 8)
        self.body = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Dropout(0.5)).eval()

    def forward(self, ids, mask):
        hidden = self.body(self.embedding(ids)) * mask.unsqueeze(-1)
        return hidden.sum(1) / mask.sum(1, keepdim=True) * SCALE

@bentoml.service(workers=3)
class Embedder:
    def __init__(self):
        self.model = MonitoredRunner(Encoder())

    @bentoml.api(batchable=True, max_batch_size=16, route="/vectors")
    def embed(self, texts: list[str]) -> np.ndarray:
        print("called")
        if "crash" in texts:
            os._exit(7)
        if "fail" in texts:
            raise KeyError("no such text")
        width = max(map(len, texts))
        ids = torch.tensor([[ord(c) for c in text.ljust(width)] for text in texts])
        lengths = torch.tensor([len(text) for text in texts])
        mask = (torch.arange(width) < lengths[:, None]).long()
        with torch.inference_mode():
            return self.model(ids, mask=mask).numpy()

    @bentoml.api
    def other(self, a: int, b: int) -> int:
        return a + b

    @bentoml.api(batchable=True)
    def plain(self, texts: list[str]) -> list[int]:
        return [len(text) for text in texts]
"""
CPU_FP32 = Execution("onnxruntime", "fp32", 1)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a user's project with its own `optimizers` folder and samples of unequal length."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "service.py").write_text(SERVICE)
    (folder / "optimizers").mkdir()
    (folder / "optimizers" / "__init__.py").write_text("SCALE = 2.0\n")
    generator = np.random.default_rng(1)
    texts = ["".join(generator.choice(list("abcdef"), size)) for size in generator.integers(1, 30, 40)]
    for name, sent in {"texts": texts, "fail": ["fail"] * 40, "crash": ["crash"] * 40}.items():
        write_bodies(folder / f"{name}.npz", [json.dumps({"texts": [text]}).encode() for text in sent])
    return folder


@pytest.fixture(scope="module")
def host(project: Path) -> Iterator[ModelHost]:
    with ModelHost("service:Embedder", project) as running:
        yield running


@pytest.fixture(scope="module")
def source(project: Path) -> RequestSource:
    return RequestSource(project / "texts.npz")


@pytest.fixture(scope="module")
def interface(host: ModelHost, source: RequestSource) -> ModelInterface:
    return host.capture("embed", source)


@pytest.fixture(scope="module")
def graph(host: ModelHost, interface: ModelInterface, tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert interface.kind == "torch"
    path = tmp_path_factory.mktemp("export") / "model.onnx"
    host.export(path)
    return path


def test_service_with_an_optimizers_folder_and_prints_is_described(host: ModelHost) -> None:
    service = host.describe()
    assert (service.service, service.workers) == ("Embedder", 3)
    embed, other, _ = service.apis
    assert (embed.name, embed.route, embed.is_batchable, embed.max_batch_size) == ("embed", "/vectors", True, 16)
    assert [(parameter.name, parameter.type) for parameter in embed.parameters] == [("texts", "array")]
    assert [(parameter.name, parameter.type) for parameter in other.parameters] == [("a", "integer"), ("b", "integer")]
    assert [(runner.name, runner.kind, runner.precision) for runner in service.runners] == [("model", "torch", "fp32")]


def test_inputs_and_outputs_of_the_model_are_learned_from_real_calls(interface: ModelInterface) -> None:
    assert [(spec.name, spec.dtype, spec.shape) for spec in interface.inputs] == [
        ("ids", "int64", (None, None)),
        ("mask", "int64", (None, None)),
    ]
    assert [(spec.name, spec.dtype, spec.shape) for spec in interface.outputs] == [("output", "float32", (None, 8))]
    assert (interface.output_form.kind, interface.mask_input, interface.runner) == ("array", "mask", "model")


@pytest.mark.parametrize("exporter", ["torchscript", "dynamo"])
def test_export_equals_the_served_module(
    host: ModelHost, interface: ModelInterface, tmp_path: Path, exporter: str
) -> None:
    path = tmp_path / "model.onnx"
    host.export(path, exporter)  # type: ignore[arg-type]
    parity = host.parity(path)
    assert parity.max_abs_difference <= 1e-5
    assert parity.max_abs_value > 0.1
    assert interface.fingerprint


def test_answers_do_not_depend_on_the_execution_of_an_equal_model(
    host: ModelHost, source: RequestSource, graph: Path, tmp_path: Path
) -> None:
    def answers(contender: Contender, batch_size: int) -> np.ndarray:
        host.answers("embed", source, contender, tmp_path / "a.npz", batch_size=batch_size, seed=5)
        found = read_answers(tmp_path / "a.npz")
        assert isinstance(found, np.ndarray)
        assert found.shape == (40, 8)
        return found

    own = answers(Contender(), 1)
    whole = Contender(CPU_FP32, graph, sha256_of(graph))
    sorted_parts = replace(whole, execution=replace(CPU_FP32, sub_batch_size=3, mask_input="mask"))
    torch_parts = Contender(Execution("torch", "fp32", 1, sub_batch_size=2, mask_input="mask"))
    for contender in (Contender(), whole, sorted_parts, torch_parts):
        np.testing.assert_allclose(answers(contender, 7), own, atol=1e-5)


def test_race_gives_each_contender_a_speed_for_each_round(host: ModelHost, source: RequestSource, graph: Path) -> None:
    contenders = [Contender(), Contender(CPU_FP32, graph, sha256_of(graph))]
    shares: list[float] = []
    speeds = host.race("embed", source, contenders, batch_size=8, rounds=3, block_s=0.01, on_progress=shares.append)
    assert [len(of_contender) for of_contender in speeds] == [3, 3]
    assert all(speed > 0 for of_contender in speeds for speed in of_contender)
    assert shares[-1] == 1.0


def test_artifact_with_another_hash_is_refused(
    host: ModelHost, source: RequestSource, graph: Path, tmp_path: Path
) -> None:
    with pytest.raises(ReleaseError, match="SHA-256"):
        host.answers("embed", source, Contender(CPU_FP32, graph, "0" * 64), tmp_path / "a", batch_size=4, seed=0)


@pytest.mark.parametrize(
    ("api", "message"),
    [
        ("nothing", "embed, other, plain"),
        ("other", "other refuses the request .*: a: Field required"),
        ("plain", "calls no MonitoredRunner"),
    ],
)
def test_api_that_cannot_be_optimized_is_refused(
    host: ModelHost, source: RequestSource, api: str, message: str
) -> None:
    with pytest.raises(ServiceError, match=message):
        host.capture(api, source)


def test_message_contains_the_users_error(host: ModelHost, project: Path) -> None:
    with pytest.raises(ServiceError, match="KeyError.*no such text"):
        host.capture("embed", RequestSource(project / "fail.npz"))
    with pytest.raises(InputError, match="nothing"):
        host.capture("embed", RequestSource(project / "nothing.npz"))


@pytest.mark.parametrize(
    ("target", "message"),
    [("missing:Embedder", "missing"), ("service:Nothing", "Nothing"), ("broken:Service", "SyntaxError")],
)
def test_service_that_cannot_be_imported_gives_one_clear_error(project: Path, target: str, message: str) -> None:
    (project / "broken.py").write_text("def broken(:\n")
    with ModelHost(target, project) as running, pytest.raises(ServiceError, match=message):
        running.describe()


def test_crash_gives_the_last_lines_and_leaves_no_process(project: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with ModelHost("service:Embedder", project, log=log) as running:
        running.describe()
        with pytest.raises(MeasurementError, match="exit code 7(.|\n)*called"):
            running.capture("embed", RequestSource(project / "crash.npz"))
    assert "a line that must not break the protocol" in log.read_text()


def test_child_is_gone_after_the_block_even_after_an_error(project: Path) -> None:
    (project / "endless.py").write_text("import time\ntime.sleep(600)\n")
    children = []

    def interrupted() -> None:
        with ModelHost("endless:Service", project) as running:
            assert running._process is not None
            children.append(running._process._process.pid)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with pytest.raises(ProcessLookupError):
        os.killpg(children[0], 0)


def test_operation_that_takes_too_long_is_stopped(project: Path) -> None:
    (project / "endless.py").write_text("import time\ntime.sleep(600)\n")
    with ModelHost("endless:Service", project) as running:
        assert running._process is not None
        with pytest.raises(MeasurementError, match=r"stopped after 0\.01 s while it imported the service"):
            running._process.request("describe", {}, timeout_s=0.01, on_progress=None)


TWO_RUNNERS = """
import bentoml, numpy as np, torch
from bento_monitor import MonitoredRunner

@bentoml.service
class Both:
    def __init__(self):
        self.first = MonitoredRunner(torch.nn.Linear(64, 512).eval(), name="first")
        self.second = MonitoredRunner(torch.nn.Linear(512, 2).eval(), name="second")
        self.unused = MonitoredRunner(torch.nn.Linear(2, 2).eval(), name="unused")

    @bentoml.api(batchable=True)
    def both(self, x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return self.second(self.first(torch.from_numpy(x.astype(np.float32)))).numpy()
"""


def test_runner_is_chosen_by_name(tmp_path: Path) -> None:
    (tmp_path / "service.py").write_text(TWO_RUNNERS)
    rows = np.random.default_rng(0).normal(size=(20, 64)).round(3).tolist()
    write_bodies(tmp_path / "rows.npz", [json.dumps({"x": [row]}).encode() for row in rows])
    with ModelHost("service:Both", tmp_path) as host:
        host.describe()
        source = RequestSource(tmp_path / "rows.npz")
        for name, width in (("second", 512), ("first", 64)):
            found = host.capture("both", source, runner=name)
            assert (found.runner, found.inputs[0].shape) == (name, (None, width))
        with pytest.raises(InputError, match=r"The API both calls no runner 'unused' \(it calls: first, second\)"):
            host.capture("both", source, runner="unused")
