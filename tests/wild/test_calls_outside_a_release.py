"""Calls that a release cannot serve, or fails, fall back to the own model: counted by reason, and marked on the span.

Seen before: an LSTM released from sequences of length 8 failed with 500 forever at length 12; one request that the own
model also refuses vetoed any promotion.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from live import scale
from onnx import TensorProto, helper
from releasing import FINGERPRINT, SERVICE
from waiting import wait_until

from bento_monitor.backends.outputs import flatten_output
from bento_monitor.errors import ReleaseError
from bento_monitor.lab.model_host.state import HostState
from bento_monitor.releases.active_store import ActiveStore
from bento_monitor.releases.agent import ReleaseAgent
from bento_monitor.releases.promotion import promote
from bento_monitor.releases.release_record import OutputForm, Release, TensorSpec
from bento_monitor.releases.release_store import write_release
from bento_monitor.resilience.atomic_files import sha256_of
from bento_monitor.runner import MonitoredRunner, PreparedModel, release_fallbacks
from bento_monitor.serving_config import Execution
from bento_monitor.tracing.context.current_api import untraced_api
from bento_monitor.tracing.ledger.ledger import Ledger, current_ledger
from bento_monitor.worker.runner_models import RunnerModels

OWN, RELEASED = 2.0, 1000.0


class Twice(torch.nn.Module):
    """`x` times two, of any shape of up to three axes."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = torch.nn.Parameter(torch.tensor([OWN]))

    def forward(self, x: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        if x.dim() > 3:
            raise ValueError("too many axes")
        factor = self.factor.to(x.device)
        return x * factor if bias is None else x * factor + bias


@pytest.fixture
def runner() -> MonitoredRunner:
    return MonitoredRunner(Twice().eval(), name="twice")


def released(folder: Path, **fields: Any) -> Release:
    """Return a release of `Twice` for `(n, 2)` float32, which multiplies by 1000."""
    onnx.save(scale(RELEASED), folder / "scale.onnx")
    record = {
        "execution": Execution("onnxruntime", "fp32", 1),
        "artifact_file": "scale.onnx",
        "artifact_sha256": sha256_of(folder / "scale.onnx"),
        "inputs": (TensorSpec("x", "float32", (None, 2), (4, 2)),),
        "outputs": (TensorSpec("y", "float32", (None, 2), (4, 2)),),
        "output_form": OutputForm(),
        "model_fingerprint": FINGERPRINT,
    }
    return Release(
        name="svc-release:1",
        service=SERVICE,
        apis=("embed",),
        runner="twice",
        batching=None,
        workers=None,
        **{**record, **fields},
    )


def stored(runner: MonitoredRunner, folder: Path) -> tuple[Release, Path]:
    """Store the same release, bound to the runner's model."""
    release = released(folder, model_fingerprint=runner.fingerprint.value())
    return release, write_release(release, folder / "scale.onnx", folder / "stored")


@pytest.fixture
def on_release(runner: MonitoredRunner, tmp_path: Path) -> MonitoredRunner:
    runner.activate(runner.prepare(released(tmp_path), tmp_path))
    return runner


FITS = torch.ones(3, 2)


def test_release_serves_calls_like_those_it_was_made_for(on_release: MonitoredRunner) -> None:
    assert on_release(FITS)[0, 0] == RELEASED
    assert on_release(x=FITS[:1])[0, 0] == RELEASED
    assert on_release.fallbacks.totals() == {}


@pytest.mark.parametrize(
    ("reason", "arguments"),
    [
        ("shape", {"x": torch.ones(3, 5)}),
        ("shape", {"x": torch.ones(3, 0)}),
        ("rank", {"x": torch.ones(2)}),
        ("rank", {"x": torch.ones(3, 2, 2)}),
        ("dtype", {"x": torch.ones(3, 2, dtype=torch.float64)}),
        ("dtype", {"x": torch.ones(3, 2, dtype=torch.float16)}),
        ("dtype", {"x": torch.ones(3, 2, dtype=torch.int64)}),
        ("name", {"x": FITS, "bias": torch.ones(1)}),
        ("device", {"x": torch.ones(3, 2, device="meta")}),
        ("gradient", {"x": torch.ones(3, 2, requires_grad=True)}),
    ],
)
def test_own_model_serves_any_other_call(on_release: MonitoredRunner, reason: str, arguments: dict[str, Any]) -> None:
    ledger = Ledger(trace_id=1, parent_span_id=0, sampled=True, received_ns=1)
    token = current_ledger.set(ledger)
    answer = on_release(**arguments)
    current_ledger.reset(token)
    expected = Twice()(**arguments)
    assert (answer.shape, answer.dtype, answer.device) == (expected.shape, expected.dtype, expected.device)
    if answer.numel() and answer.device.type != "meta":
        assert torch.equal(answer, expected)
    assert on_release.fallbacks.totals() == {("svc-release:1", reason): 1}
    assert release_fallbacks() == {("twice", "svc-release:1", reason): 1}
    (call,) = ledger.model_calls
    assert (call.release, call.fallback, call.backend) == ("own", reason, "torch")
    assert on_release.failures.total() == 0


def test_error_of_the_own_model_reaches_the_caller_unchanged(on_release: MonitoredRunner) -> None:
    with pytest.raises(ValueError, match="too many axes") as raised:
        on_release(torch.ones(1, 1, 1, 1))
    assert raised.value.__context__ is None
    assert on_release.failures.total() == 0


@given(
    shape=st.lists(st.integers(0, 4), max_size=4),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.int64, torch.bool, torch.bfloat16]),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_call_gets_an_output_of_either_model_or_the_own_models_error(
    on_release: MonitoredRunner, shape: list[int], dtype: torch.dtype
) -> None:
    x = torch.ones(shape, dtype=dtype)
    try:
        expected = Twice()(x)
    except ValueError:
        with pytest.raises(ValueError, match="too many axes"):
            on_release(x)
        return
    answer = on_release(x)
    fits = dtype == torch.float32 and len(shape) == 2 and shape[1] == 2
    assert torch.equal(answer, x * RELEASED if fits else expected)


class Failing:
    """A release that fails every call."""

    backend, precision = "onnxruntime", "fp32"

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    def run(self, args: tuple[Any, ...], kwargs: Any, method: str | None = None) -> Any:
        raise self.error("no kernel")


@pytest.mark.parametrize("error", [RuntimeError, MemoryError, IndexError])
def test_error_of_the_release_falls_back_to_the_own_model_and_is_counted(
    runner: MonitoredRunner, tmp_path: Path, error: type[Exception]
) -> None:
    runner.activate(PreparedModel(Failing(error), released(tmp_path)))
    assert torch.equal(runner(FITS), FITS * OWN)
    assert runner.fallbacks.totals() == {("svc-release:1", "error"): 1}
    assert runner.failures.total() == 1
    with pytest.raises(ValueError, match="too many axes") as raised:
        runner(torch.ones(1, 1, 1, 1))
    assert raised.value.__context__ is None
    assert runner.failures.total() == 1


def test_optimizer_rejects_figures_of_a_contender_with_fallbacks(runner: MonitoredRunner, tmp_path: Path) -> None:
    state = HostState("nowhere:Service", tmp_path)
    with pytest.raises(ReleaseError, match=r"fails on 1 call\(s\).*RuntimeError"), state.measured(runner):
        _call(runner, PreparedModel(Failing(RuntimeError), released(tmp_path)))
    assert runner.release is None
    with state.measured(runner):
        runner.activate(runner.prepare(released(tmp_path), tmp_path))
        assert runner(FITS)[0, 0] == RELEASED


def _call(runner: MonitoredRunner, prepared: PreparedModel) -> None:
    runner.activate(prepared)
    runner(FITS)


def test_interrupt_is_not_a_fallback(runner: MonitoredRunner, tmp_path: Path) -> None:
    runner.activate(PreparedModel(Failing(KeyboardInterrupt), released(tmp_path)))
    with pytest.raises(KeyboardInterrupt):
        runner(FITS)


def test_fallbacks_are_logged_once_per_minute_not_per_call(
    on_release: MonitoredRunner, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(100):
            on_release(torch.ones(3, 5))
    (line,) = caplog.records
    assert "svc-release:1 did not take the call (shape" in line.getMessage()
    assert on_release.fallbacks.totals() == {("svc-release:1", "shape"): 100}


@pytest.mark.parametrize(
    ("apis", "api", "is_released"),
    [
        (("embed",), "embed", True),
        (("embed",), None, True),  # in a service with only this API all calls belong to it
        (("embed", "search"), "embed", True),
        (("embed", "search"), "search", False),
        (("embed", "search"), None, False),
    ],
)
def test_release_serves_only_its_apis(
    runner: MonitoredRunner, tmp_path: Path, apis: tuple[str, ...], api: str | None, is_released: bool
) -> None:
    models = RunnerModels(apis, lambda batching: None, lambda: None)
    release = released(tmp_path, model_fingerprint=runner.fingerprint.value())
    models.serve({"twice": models.prepare("twice", release, tmp_path)}, {})
    token = untraced_api.set(api)
    factor = runner(FITS)[0, 0]
    untraced_api.reset(token)
    assert factor == (RELEASED if is_released else OWN)
    assert ("svc-release:1", "api") not in runner.fallbacks.totals() or not is_released


def test_release_for_a_missing_api_is_refused(runner: MonitoredRunner, tmp_path: Path) -> None:
    models = RunnerModels(("search",), lambda batching: None, lambda: None)
    release = released(tmp_path, model_fingerprint=runner.fingerprint.value())
    with pytest.raises(ReleaseError, match="embed"):
        models.prepare("twice", release, tmp_path)


@pytest.mark.parametrize(
    ("fingerprint", "sentence"),
    [(None, "make a new release with bento-monitor optimize"), (FINGERPRINT, "another model")],
)
def test_release_of_another_model_or_without_a_fingerprint_is_not_loaded(
    runner: MonitoredRunner, tmp_path: Path, fingerprint: str | None, sentence: str
) -> None:
    models = RunnerModels(("embed",), lambda batching: None, lambda: None)
    with pytest.raises(ReleaseError, match=sentence):
        models.prepare("twice", released(tmp_path, model_fingerprint=fingerprint), tmp_path)


@pytest.fixture
def probation(runner: MonitoredRunner, tmp_path: Path) -> Iterator[ActiveStore]:
    """A worker with a real runner, whose releases have a long probation."""
    store = ActiveStore(tmp_path / "home", SERVICE)
    models = RunnerModels(("embed",), lambda batching: None, lambda: None)
    agent = ReleaseAgent(store, models, poll_interval_s=0.01, probation_s=1.0)
    agent.start()
    yield store
    agent.stop()


def test_request_that_the_own_model_also_refuses_vetoes_no_promotion(
    runner: MonitoredRunner, probation: ActiveStore, tmp_path: Path
) -> None:
    release, folder = stored(runner, tmp_path)
    refused = []

    def ask(_: object) -> None:
        if runner.release is not None and not refused:
            with pytest.raises(ValueError, match="too many axes"):
                runner(torch.ones(1, 1, 1, 1))
            refused.append(1)

    promote(probation, release, folder, on_workers=ask, timeout_s=20)
    assert refused
    assert runner(FITS)[0, 0] == RELEASED


def test_release_that_fails_where_the_own_model_succeeds_is_rolled_back(
    runner: MonitoredRunner, probation: ActiveStore, tmp_path: Path
) -> None:
    release, folder = stored(runner, tmp_path)
    answered = []

    def ask(_: object) -> None:
        if runner.release is not None and not answered:
            runner._active.model._backend = Failing(RuntimeError)
            answered.append(runner(FITS))

    with pytest.raises(ReleaseError, match="failed 1 call"):
        promote(probation, release, folder, on_workers=ask, timeout_s=20)
    assert torch.equal(answered[0], FITS * OWN)
    wait_until(lambda: runner.release is None)


def test_output_of_a_torch_release_is_writable_like_the_models(runner: MonitoredRunner, tmp_path: Path) -> None:
    fields = {"execution": Execution("torch", "fp32", 1), "artifact_file": None, "artifact_sha256": None}
    runner.activate(runner.prepare(released(tmp_path, **fields), tmp_path))
    answer = runner(FITS)
    answer /= answer.norm(dim=-1, keepdim=True)
    assert runner.fallbacks.totals() == {}


def test_reloaded_weights_end_a_release_even_after_a_refused_one(
    runner: MonitoredRunner, probation: ActiveStore, tmp_path: Path
) -> None:
    release, folder = stored(runner, tmp_path)
    promote(probation, release, folder, timeout_s=20)
    assert runner(FITS)[0, 0] == RELEASED
    runner.load_state_dict({"factor": torch.tensor([5.0])})
    with pytest.raises(ReleaseError, match="another model"):
        promote(probation, *_renamed(release, folder), timeout_s=20)
    wait_until(lambda: runner(FITS)[0, 0] == 5.0)


def _renamed(release: Release, folder: Path) -> tuple[Release, Path]:
    """Store the same release under another name."""
    other = replace(release, name="svc-release:2")
    return other, write_release(other, folder / "scale.onnx", folder.with_name("other"))


def test_lstm_released_for_length_8_serves_length_12_with_the_own_model(tmp_path: Path) -> None:
    class Sequences(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = torch.nn.LSTM(4, 3, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.lstm(x)[0][:, -1]

    module = Sequences().eval()
    graph = tmp_path / "lstm.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, (torch.ones(2, 8, 4),), str(graph), dynamo=False, input_names=["x"], output_names=["y"]
        )
    runner = MonitoredRunner(module, name="twice")
    release = released(
        tmp_path,
        artifact_file="lstm.onnx",
        artifact_sha256=sha256_of(graph),
        inputs=(TensorSpec("x", "float32", (2, 8, 4), (2, 8, 4)),),
        outputs=(TensorSpec("y", "float32", (2, 3), (2, 3)),),
    )
    runner.activate(runner.prepare(release, tmp_path))
    with torch.inference_mode():
        for length in (8, 12):
            x = torch.randn(2, length, 4)
            np.testing.assert_allclose(runner(x).numpy(), module(x).numpy(), atol=1e-5)
    assert runner.fallbacks.totals() == {("svc-release:1", "shape"): 1}
    assert flatten_output(runner(torch.ones(2, 8, 4)))[0].kind == "array"


def test_onnx_file_with_string_inputs_is_called_with_strings(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "strings",
        [helper.make_tensor_value_info("x", TensorProto.STRING, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.STRING, ["n"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.save(model, tmp_path / "strings.onnx")
    runner = MonitoredRunner(tmp_path / "strings.onnx", name="strings")
    assert runner(np.array(["a", "bc"], dtype=object)).tolist() == ["a", "bc"]
    assert runner(np.array(["a", "bc"])).tolist() == ["a", "bc"]
