from __future__ import annotations

import gc
import threading
import time
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from bento_monitor.errors import ReleaseError, ServiceError
from bento_monitor.releases.release_record import OutputForm, Release, TensorSpec
from bento_monitor.resilience.atomic_files import sha256_of
from bento_monitor.runner import MonitoredRunner, PreparedModel, runners
from bento_monitor.serving_config import Execution
from bento_monitor.tracing.ledger.ledger import BatchRecord, Ledger, current_batch, current_ledger

WEIGHT = np.arange(6, dtype=np.float32).reshape(3, 2)


class Linear(torch.nn.Module):
    """A module of `(batch, 3)` -> `(batch, 2)`, with an optional input that is rarely passed."""

    def __init__(self) -> None:
        super().__init__()
        self.config = {"size": 3}
        self.weight = torch.nn.Parameter(torch.from_numpy(WEIGHT.copy()))

    def forward(self, x: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        answer = x @ self.weight
        return answer if bias is None else answer + bias


@pytest.fixture
def onnx_file(tmp_path: Path) -> Path:
    """Write `Linear` as an ONNX file."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["output"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(WEIGHT, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    path = tmp_path / "linear.onnx"
    onnx.save(model, path)
    return path


@pytest.fixture
def release(onnx_file: Path) -> Release:
    return Release(
        name="r1",
        service="S",
        apis=("predict",),
        runner="model",
        execution=Execution("onnxruntime", "fp32", 1),
        batching=None,
        workers=None,
        artifact_file=onnx_file.name,
        artifact_sha256=sha256_of(onnx_file),
        inputs=(TensorSpec("x", "float32", (None, 3), (4, 3)),),
        outputs=(TensorSpec("output", "float32", (None, 2), (4, 2)),),
    )


X = torch.tensor([[1.0, 2.0, 3.0], [0.5, 0.0, -1.0]])
EXPECTED = X.numpy() @ WEIGHT


def test_call_without_a_release_is_the_models_own() -> None:
    module = Linear()
    runner = MonitoredRunner(module)
    assert torch.equal(runner(X), module(X))
    assert torch.equal(runner(x=X, bias=X[:, :2]), module(X, X[:, :2]))
    assert runner(X).requires_grad


def test_release_takes_the_same_arguments_and_returns_the_same_output(release: Release, onnx_file: Path) -> None:
    runner = MonitoredRunner(Linear())
    runner.activate(runner.prepare(release, onnx_file.parent))
    assert runner.release == "r1"
    for answer in (runner(X), runner(x=X), runner(X, None)):
        assert isinstance(answer, torch.Tensor)
        assert answer.dtype == torch.float32
        np.testing.assert_allclose(answer.numpy(), EXPECTED, rtol=1e-6)
    runner.reset()
    assert runner.release is None
    assert runner(X).requires_grad


def test_call_unsuitable_for_the_release_is_run_by_the_own_model(release: Release, onnx_file: Path) -> None:
    runner = MonitoredRunner(Linear())
    runner.activate(runner.prepare(release, onnx_file.parent))
    bias = torch.ones(2, 2)
    np.testing.assert_allclose(runner(X, bias).detach().numpy(), EXPECTED + 1, rtol=1e-6)
    with pytest.raises(TypeError):
        runner(X, bias, bias)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_torch_backend_returns_the_models_own_element_type(release: Release, precision: Any) -> None:
    execution = Execution("torch", precision, 1)
    threads = torch.get_num_threads()
    runner = MonitoredRunner(Linear())
    runner.activate(
        runner.prepare(replace(release, execution=execution, artifact_file=None, artifact_sha256=None), Path())
    )
    answer = runner(X)
    assert answer.dtype == torch.float32
    np.testing.assert_allclose(answer.numpy(), EXPECTED, rtol=0.02)
    assert torch.get_num_threads() == threads


def test_onnx_file_returns_the_array_type_that_it_was_called_with(release: Release, onnx_file: Path) -> None:
    runner = MonitoredRunner(onnx_file)
    released = replace(release, output_form=OutputForm("array", "inputs"))
    for prepared in (None, runner.prepare(released, onnx_file.parent)):
        if prepared is not None:
            runner.activate(prepared)
        np.testing.assert_allclose(runner(X.numpy()), EXPECTED, rtol=1e-6)
        np.testing.assert_allclose(runner(x=X).numpy(), EXPECTED, rtol=1e-6)
        assert type(runner(X.numpy())) is np.ndarray
    assert runner.get_inputs()[0].name == "x"


def test_tampered_artifact_is_refused(release: Release, onnx_file: Path) -> None:
    runner = MonitoredRunner(Linear())
    onnx_file.write_bytes(onnx_file.read_bytes() + b"\0")
    with pytest.raises(ReleaseError, match="SHA-256"):
        runner.prepare(release, onnx_file.parent)
    assert runner.release is None


@pytest.mark.parametrize("name", ["../linear.onnx", "missing.onnx", None])
def test_artifact_outside_the_folder_or_missing_is_refused(release: Release, onnx_file: Path, name: str | None) -> None:
    with pytest.raises(ReleaseError, match="artifact"):
        MonitoredRunner(Linear()).prepare(replace(release, artifact_file=name), onnx_file.parent)


@pytest.mark.parametrize(
    "change",
    [
        {"runner": "other"},
        {"execution": Execution("torch", "int8-dynamic-per-channel", 1)},
        {"execution": Execution("onnxruntime", "fp32", 1, sub_batch_size=4, mask_input="mask")},
        {"inputs": (TensorSpec("y", "float32", (None, 3), (4, 3)),)},
        {"inputs": (TensorSpec("x", "float32", (None, 4), (4, 4)),)},
        {"execution": Execution("onnxruntime", "fp32", 4096)},
    ],
)
def test_unsuitable_release_is_refused_before_its_activation(
    release: Release, onnx_file: Path, change: dict[str, Any]
) -> None:
    runner = MonitoredRunner(Linear())
    with pytest.raises(ReleaseError):
        runner.prepare(replace(release, **change), onnx_file.parent)


def test_running_call_finishes_on_the_old_model_which_is_then_freed() -> None:
    started, go_on = threading.Event(), threading.Event()

    class Slow:
        backend, precision = "torch", "fp32"

        def run(self, *_: Any) -> str:
            started.set()
            go_on.wait(10)
            return "old"

    runner = MonitoredRunner(Linear())
    old = Slow()
    reference = weakref.ref(old)
    runner.activate(PreparedModel(old, None))
    del old
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(runner(X)))
    thread.start()
    assert started.wait(10)
    runner.reset()
    assert isinstance(runner(X), torch.Tensor)
    assert reference() is not None
    go_on.set()
    thread.join(10)
    assert answers == ["old"]
    assert reference() is None


def test_call_is_recorded_on_the_batch_if_any_else_on_the_request(release: Release, onnx_file: Path) -> None:
    runner = MonitoredRunner(Linear())
    runner.activate(runner.prepare(release, onnx_file.parent))
    ledger = Ledger(trace_id=1, parent_span_id=0, sampled=True, received_ns=1)
    batch = BatchRecord("predict", (ledger,), 2, 1)
    ledger_token = current_ledger.set(ledger)
    runner(X)
    batch_token = current_batch.set(batch)
    runner(x=X[:1])
    current_batch.reset(batch_token)
    current_ledger.reset(ledger_token)
    runner(X)
    (of_request,) = ledger.model_calls
    (of_batch,) = batch.model_calls
    assert (of_request.rows, of_batch.rows) == (2, 1)
    assert (of_batch.runner, of_batch.backend, of_batch.precision, of_batch.release) == (
        "model",
        "onnxruntime",
        "fp32",
        "r1",
    )
    assert 0 < of_batch.started_ns <= of_batch.ended_ns


def test_answered_by_is_what_ran_the_last_call_of_the_current_request(release: Release, onnx_file: Path) -> None:
    runner, other = MonitoredRunner(Linear()), MonitoredRunner(Linear(), name="other")
    assert runner.answered_by == "own"  # without tracing there is only what is active
    ledger = Ledger(trace_id=1, parent_span_id=0, sampled=True, received_ns=1)
    token = current_ledger.set(ledger)
    assert runner.answered_by is None
    prepared = runner.prepare(release, onnx_file.parent)
    runner.activate(prepared)
    runner(X)
    other(X)
    assert (runner.answered_by, other.answered_by) == ("r1", "own")
    runner(X, torch.ones(2, 2))  # which the release does not take
    assert (runner.release, runner.answered_by) == ("r1", "own")
    runner(X)
    runner.reset()
    assert (runner.release, runner.answered_by) == (None, "r1")
    ledger.is_closed = True  # a batch of BentoML's own dispatcher, in the context of an ended request
    assert runner.answered_by == "own"
    current_ledger.reset(token)
    runner.activate(prepared)
    assert runner.answered_by is None


def test_call_without_a_gpu_has_no_gpu_time() -> None:
    ledger = Ledger(trace_id=1, parent_span_id=0, sampled=True, received_ns=1)
    token = current_ledger.set(ledger)
    MonitoredRunner(Linear())(X)
    current_ledger.reset(token)
    assert ledger.model_calls[0].clock is None


@pytest.mark.usefixtures("gpu")
def test_time_of_an_asynchronous_gpu_call_is_the_gpu_time() -> None:
    class Powers(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.randn(4096, 4096) / 64)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for _ in range(200):
                x = x @ self.weight
            return x

    runner = MonitoredRunner(Powers())
    runner.to("cuda")
    x = torch.randn(4096, 4096, device="cuda")
    with torch.inference_mode():
        runner(x)
        torch.cuda.synchronize()
        ledger = Ledger(trace_id=1, parent_span_id=0, sampled=True, received_ns=1)
        token = current_ledger.set(ledger)
        begun_s = time.perf_counter()
        runner(x)
        torch.cuda.synchronize()
        took_ns = (time.perf_counter() - begun_s) * 1e9
        current_ledger.reset(token)
    (call,) = ledger.model_calls
    assert call.clock is not None
    gpu_ns = call.clock.elapsed_ns()
    assert call.ended_ns - call.started_ns < 0.5 * gpu_ns
    assert 0.8 * took_ns < gpu_ns <= took_ns


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("backend", ["torch", "onnxruntime"])
def test_release_answers_on_the_gpu_of_its_inputs(release: Release, onnx_file: Path, backend: Any) -> None:
    runner = MonitoredRunner(Linear()).to("cuda")
    execution = Execution(backend, "fp32", 1)
    runner.activate(runner.prepare(replace(release, execution=execution), onnx_file.parent))
    answer = runner(X.cuda())
    assert runner.release == "r1"
    assert answer.device == runner.weight.device
    np.testing.assert_allclose(answer.detach().cpu().numpy(), EXPECTED, rtol=0.01)


@pytest.mark.usefixtures("gpu")
def test_call_captured_in_a_cuda_graph_is_not_timed() -> None:
    runner = MonitoredRunner(Linear()).to("cuda")
    x = X.cuda()
    ledger = Ledger(trace_id=1, parent_span_id=0, sampled=True, received_ns=1)
    token = current_ledger.set(ledger)
    with torch.inference_mode():
        runner(x)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            answer = runner(x)
        graph.replay()
    current_ledger.reset(token)
    alone, captured = ledger.model_calls
    assert alone.gpu_ns() is not None
    assert captured.clock is None
    np.testing.assert_allclose(answer.cpu().numpy(), EXPECTED, rtol=0.01)


def test_failing_record_does_not_fail_the_call() -> None:
    token = current_ledger.set("no ledger")  # type: ignore[arg-type]
    try:
        assert MonitoredRunner(Linear())(X).shape == (2, 2)
    finally:
        current_ledger.reset(token)


def test_error_of_the_model_is_raised_unchanged() -> None:
    with pytest.raises(RuntimeError, match="shapes"):
        MonitoredRunner(Linear())(torch.ones(2, 5))


def test_attributes_are_the_models_and_chained_methods_return_the_runner() -> None:
    module = Linear()
    runner = MonitoredRunner(module)
    assert runner.config == {"size": 3}
    assert runner.eval() is runner
    assert not module.training
    assert runner.to(torch.float32) is runner
    assert set(runner.state_dict()) == {"weight"}
    with pytest.raises(AttributeError):
        _ = runner.nonsense


def test_second_runner_of_a_name_is_refused_until_the_first_is_freed() -> None:
    first = MonitoredRunner(Linear(), name="encoder")
    assert runners()["encoder"] is first
    with pytest.raises(ServiceError, match="'encoder'"):
        MonitoredRunner(Linear(), name="encoder")
    cycle: dict[str, Any] = {"runner": first}
    cycle["self"] = cycle
    del first, cycle
    MonitoredRunner(Linear(), name="encoder")
    gc.collect()
    assert "encoder" not in runners()


@pytest.mark.parametrize("name", [None, "missing.onnx", "bad.onnx"])
def test_object_that_is_not_a_model_is_refused(tmp_path: Path, name: str | None) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no graph")
    with pytest.raises(ServiceError, match="MonitoredRunner"):
        MonitoredRunner(3 if name is None else tmp_path / name)
