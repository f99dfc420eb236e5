"""Whatever people serve can be wrapped: it answers as before, each call is traced, and a release never changes it.

Seen before: a fitted pipeline, an object with `encode` and a function were refused with "wraps a torch.nn.Module or the
path of an ONNX file"; a scalar input of an ONNX file was given an axis; a release of a file whose output is `logits`
could not be loaded, for it was recorded as `output`.
"""

from __future__ import annotations

import asyncio
import functools
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import onnx
import pandas as pd
import pytest
import torch
import xgboost
from onnx import TensorProto, helper, numpy_helper
from scipy import sparse
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from bento_monitor.backends.own import OwnOnnxFile
from bento_monitor.errors import BentoMonitorError, ReleaseError, ServiceError
from bento_monitor.files import sha256_of
from bento_monitor.model_host.convert_estimator import convert_estimator
from bento_monitor.model_host.copy_onnx import copy_onnx_file
from bento_monitor.model_host.estimator_parity import check_parity
from bento_monitor.releases.record import Execution, OutputForm, Release, TensorSpec
from bento_monitor.releases.record_json import parse_release
from bento_monitor.runner import MonitoredRunner
from bento_monitor.tracing.ledger import BatchRecord, current_batch

ROWS = np.random.default_rng(3).normal(size=(300, 4))
CLASSES = (ROWS[:, 0] + ROWS[:, 1] ** 2 > 0.5).astype(int) + (ROWS[:, 2] > 1)
WORDS = np.array(["no", "maybe", "yes"])[CLASSES]
VALUES = ROWS @ np.array([1.0, -2.0, 0.5, 0.0])

ESTIMATORS: dict[str, Any] = {
    "pipeline": lambda: make_pipeline(StandardScaler(), LogisticRegression()).fit(ROWS, CLASSES),
    "words": lambda: RandomForestClassifier(10, random_state=0).fit(ROWS, WORDS),
    "binary svc": lambda: SVC().fit(ROWS, CLASSES > 0),
    "regression": lambda: LinearRegression().fit(ROWS, VALUES),
    "outliers": lambda: IsolationForest(n_estimators=5, random_state=0).fit(ROWS),
    "histograms": lambda: HistGradientBoostingClassifier(max_iter=5).fit(ROWS, CLASSES),
    "neighbors": lambda: KNeighborsClassifier(algorithm="kd_tree").fit(ROWS, CLASSES),
    "xgboost": lambda: xgboost.XGBClassifier(n_estimators=5).fit(ROWS, CLASSES),
    "lightgbm": lambda: lightgbm.LGBMClassifier(n_estimators=5, verbose=-1).fit(ROWS, WORDS),
    "lightgbm booster": lambda: lightgbm.train(
        {"objective": "binary", "verbose": -1}, lightgbm.Dataset(ROWS, CLASSES > 0), 5
    ),
}
METHODS = ("predict", "predict_proba", "decision_function")


@pytest.fixture
def traced() -> Iterator[BatchRecord]:
    """What is noted of the calls that are made meanwhile."""
    batch = BatchRecord("predict", (), 1, 1)
    token = current_batch.set(batch)
    yield batch
    current_batch.reset(token)


def methods_of(model: Any) -> list[str]:
    return [name for name in METHODS if hasattr(model, name) and not (name == METHODS[2] and is_lightgbm(model))]


def is_lightgbm(model: Any) -> bool:
    return type(model).__module__.startswith("lightgbm")


def released(runner: MonitoredRunner, folder: Path, rows: Any) -> Release:
    """A release of an estimator, converted on the rows."""
    model = runner.own_model.model
    inputs = (TensorSpec(runner.own_model.names[0], str(rows.dtype), (None, rows.shape[1]), (4, rows.shape[1])),)
    outputs = convert_estimator(runner.own_model, methods_of(model), inputs, folder / "model.onnx", rows=rows)
    release = Release(
        name="svc-release:1",
        service="Svc",
        apis=("predict",),
        runner=runner.name,
        execution=Execution("onnxruntime", "fp32", 1),
        batching=None,
        workers=None,
        artifact_file="model.onnx",
        artifact_sha256=sha256_of(folder / "model.onnx"),
        model_fingerprint=runner.fingerprint.value(),
        inputs=inputs,
        outputs=outputs,
        output_form=OutputForm("methods", "numpy"),
    )
    return parse_release(release.to_json())


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_an_estimator_s_methods_are_called_as_before_and_traced(kind: str, traced: BatchRecord) -> None:
    model = ESTIMATORS[kind]()
    runner = MonitoredRunner(model, name=kind)
    for method in methods_of(model):
        np.testing.assert_array_equal(getattr(runner, method)(ROWS), getattr(model, method)(ROWS))
    assert [(call.method, call.rows) for call in traced.model_calls] == [(name, 300) for name in methods_of(model)]
    assert hasattr(runner, "decision_function") == hasattr(model, "decision_function")
    with pytest.raises(TypeError, match="predict"):
        runner(ROWS)


def test_attributes_of_an_estimator_are_its_own() -> None:
    runner = MonitoredRunner(LogisticRegression().fit(ROWS, WORDS))
    assert list(runner.classes_) == ["maybe", "no", "yes"]
    assert runner.fit(ROWS, CLASSES) is runner
    assert list(runner.classes_) == [0, 1, 2]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", ESTIMATORS)
def test_a_released_estimator_answers_each_method_in_its_own_type_and_shape(
    kind: str, dtype: str, tmp_path: Path
) -> None:
    model = ESTIMATORS[kind]()
    rows = np.random.default_rng(5).normal(size=(300, 4)).astype(dtype)
    runner = MonitoredRunner(model, name=kind)
    runner.take_over(runner.prepare(released(runner, tmp_path, rows), tmp_path))
    fresh = np.random.default_rng(4).normal(size=(50, 4)).astype(dtype)
    for method in methods_of(model):
        expected, answer = getattr(model, method)(fresh), getattr(runner, method)(fresh)
        assert (answer.dtype, answer.shape) == (expected.dtype, expected.shape)
        if expected.dtype.kind == "f":
            np.testing.assert_allclose(answer, expected, rtol=1e-4, atol=1e-5)
        else:
            assert list(answer) == list(expected)
    assert runner.fallbacks.totals() == {}


@pytest.mark.parametrize(
    ("reason", "rows"),
    [
        ("dtype", pd.DataFrame(ROWS)),
        ("dtype", sparse.csr_matrix(ROWS)),
        ("dtype", ROWS.tolist()),
        ("dtype", ROWS.astype(np.float32)),
        ("dtype", ROWS.astype(np.int64)),
    ],
    ids=["data frame", "sparse", "lists", "float32", "integers"],
)
def test_what_a_release_was_not_made_for_is_answered_by_the_estimator(reason: str, rows: Any, tmp_path: Path) -> None:
    model = ESTIMATORS["pipeline"]() if not sparse.issparse(rows) else LogisticRegression().fit(ROWS, CLASSES)
    runner = MonitoredRunner(model)
    runner.take_over(runner.prepare(released(runner, tmp_path, ROWS), tmp_path))
    np.testing.assert_array_equal(runner.predict(rows), model.predict(rows))
    assert runner.fallbacks.totals() == {("svc-release:1", reason): 1}


def test_what_the_estimator_refuses_is_refused_with_a_release_too(tmp_path: Path) -> None:
    runner = MonitoredRunner(ESTIMATORS["pipeline"]())
    runner.take_over(runner.prepare(released(runner, tmp_path, ROWS), tmp_path))
    with_nan = np.where(ROWS > 2, np.nan, ROWS)
    for rows, reason in ((with_nan, "value"), (ROWS[:0], "shape"), (ROWS[:, :2], "shape"), (ROWS[0], "rank")):
        before = runner.fallbacks.totals().get(("svc-release:1", reason), 0)
        with pytest.raises(ValueError, match="NaN|sample|features|1D"):
            runner.predict(rows)
        assert runner.fallbacks.totals()[("svc-release:1", reason)] == before + 1


def test_a_method_without_an_output_is_the_estimator_s(tmp_path: Path) -> None:
    runner = MonitoredRunner(ESTIMATORS["pipeline"]())
    runner.take_over(runner.prepare(released(runner, tmp_path, ROWS), tmp_path))
    np.testing.assert_array_equal(runner.predict_log_proba(ROWS), runner.own_model.model.predict_log_proba(ROWS))
    assert runner.fallbacks.totals() == {("svc-release:1", "method"): 1}


def test_a_graph_that_answers_otherwise_is_not_accepted(tmp_path: Path) -> None:
    runner = MonitoredRunner(ESTIMATORS["pipeline"]())
    released(runner, tmp_path, ROWS)
    other = MonitoredRunner(make_pipeline(StandardScaler(), LogisticRegression(C=1e-3)).fit(ROWS, CLASSES), name="b")
    assert all(parity.holds for parity in check_parity(runner.own_model, METHODS, tmp_path / "model.onnx", ROWS))
    assert not any(parity.holds for parity in check_parity(other.own_model, METHODS, tmp_path / "model.onnx", ROWS))


class Center(StandardScaler):
    """A transformer of the user's own, for which there is no converter."""

    def transform(self, X: Any, copy: bool | None = None) -> Any:  # noqa: N803
        return super().transform(X, copy) * 2


def test_what_has_no_converter_is_told_in_a_sentence(tmp_path: Path) -> None:
    runner = MonitoredRunner(make_pipeline(Center(), LogisticRegression()).fit(ROWS, CLASSES))
    inputs = (TensorSpec("X", "float64", (None, 4), (4, 4)),)
    with pytest.raises(BentoMonitorError, match="Pipeline cannot be served as ONNX"):
        convert_estimator(runner.own_model, ["predict"], inputs, tmp_path / "model.onnx", rows=ROWS)
    assert not (tmp_path / "model.onnx").exists()


FINGERPRINT = """
import sys
sys.path.insert(0, {folder!r})
import test_what_the_wrapper_takes as here
for kind, make in here.ESTIMATORS.items():
    print(kind, here.MonitoredRunner(make(), name=kind).fingerprint.value())
"""


def test_a_fingerprint_is_the_same_in_every_process_and_after_calls() -> None:
    found = []
    for seed in ("1", "2"):
        script = FINGERPRINT.format(folder=str(Path(__file__).parent))
        env = {**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1"}
        found.append(subprocess.check_output([sys.executable, "-c", script], env=env, text=True))
    here = []
    for kind, make in ESTIMATORS.items():
        runner = MonitoredRunner(make(), name=kind)
        for method in methods_of(runner.own_model.model):
            getattr(runner, method)(ROWS)
        here.append(f"{kind} {runner.fingerprint.value()}")
    assert found[0] == found[1]
    assert found[0].splitlines() == here
    assert len({line.split()[-1] for line in here}) == len(ESTIMATORS)


def test_a_new_fit_and_another_parameter_make_another_fingerprint() -> None:
    model = ESTIMATORS["pipeline"]()
    runner = MonitoredRunner(model)
    first = runner.fingerprint.value()
    assert not runner.fingerprint.is_stale()
    model.fit(ROWS[:200], CLASSES[:200])
    assert runner.fingerprint.is_stale()
    second = runner.fingerprint.present_value()
    model[-1].set_params(C=2.0)
    assert runner.fingerprint.is_stale()
    assert len({first, second, runner.fingerprint.present_value()}) == 3


def test_the_history_of_training_is_no_part_of_a_booster() -> None:
    values = set()
    for watched in ([], [(xgboost.DMatrix(ROWS, VALUES), "train")]):
        booster = xgboost.train({"nthread": 1}, xgboost.DMatrix(ROWS, VALUES), 5, evals=watched, verbose_eval=False)
        booster.set_attr(note=str(len(watched)))
        values.add(MonitoredRunner(booster, name=f"b{len(watched)}").fingerprint.value())
    assert len(values) == 1


class Encoder:
    """An object with methods and slots, that cannot be called."""

    __slots__ = ("size", "where")

    def __init__(self) -> None:
        self.size = 2

    def encode(self, texts: list[str]) -> list[int]:
        return [len(text) * self.size for text in texts]

    async def embed(self, texts: list[str]) -> int:
        await asyncio.sleep(0.01)
        return len(texts)

    async def stream(self, count: int) -> AsyncIterator[int]:
        for index in range(count):
            yield index

    def generate(self, count: int) -> Iterator[int]:
        yield from range(count)


def double(x: Any, by: int = 2) -> Any:
    return x * by


class Doubler:
    def __call__(self, x: Any) -> Any:
        return x * 2


@pytest.mark.parametrize(
    "model",
    [
        double,
        lambda x: x * 2,
        functools.partial(double, by=2),
        Doubler(),
        Doubler().__call__,
    ],
    ids=["function", "lambda", "partial", "object", "method"],
)
def test_what_can_be_called_is_called_and_traced(model: Any, traced: BatchRecord) -> None:
    runner = MonitoredRunner(model)
    x = torch.ones(3, 2)
    assert torch.equal(runner(x), model(x))
    assert [(call.method, call.rows, call.backend) for call in traced.model_calls] == [(None, 3, "python")]
    with pytest.raises(ReleaseError, match="none can be made"):
        runner.fingerprint.value()


def test_named_methods_of_any_object_are_traced(traced: BatchRecord) -> None:
    runner = MonitoredRunner(Encoder(), methods=["encode", "embed", "stream", "generate"])

    async def calls() -> tuple[int, list[int]]:
        return await runner.embed(["a", "b"]), [each async for each in runner.stream(3)]

    assert runner.encode(["a", "bc", "def"]) == [2, 4, 6]
    assert asyncio.run(calls()) == (2, [0, 1, 2])
    assert list(runner.generate(2)) == [0, 1]
    noted = [(call.method, call.rows) for call in traced.model_calls]
    assert noted == [("encode", 3), ("embed", 2), ("stream", 1), ("generate", 1)]
    assert traced.model_calls[1].ended_ns - traced.model_calls[1].started_ns >= 10_000_000
    assert runner.size == 2


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({}, r"Name the methods that compute, as in MonitoredRunner\(model, methods=\['embed', 'encode', 'generate'\]"),
        ({"methods": "encode"}, 'methods=\\["encode"\\]'),
        ({"methods": ["encoding"]}, "has no method 'encoding'"),
        ({"methods": ["reset"]}, "'reset' of its own"),
    ],
    ids=["none named", "a string", "unknown", "taken"],
)
def test_what_cannot_be_called_is_told_what_to_do(arguments: dict[str, Any], match: str) -> None:
    with pytest.raises(ServiceError, match=match):
        MonitoredRunner(Encoder(), **arguments)


def onnx_file(path: Path, batch: int | str = "n", *, external: bool = False) -> Path:
    """Like silero's: rows, a state with the batch on its second axis, and a scalar rate."""
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
def test_a_file_with_a_state_and_a_scalar_says_which_axis_is_the_batch(
    batch: Any, fixed: int | None, tmp_path: Path
) -> None:
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
def test_a_file_with_external_data_is_released_by_its_own_names_and_by_places(
    names: tuple[str, str], tmp_path: Path
) -> None:
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
    runner.take_over(runner.prepare(release, folder))
    for answer, own in zip(runner(x, state, np.array(3)), expected, strict=True):
        np.testing.assert_array_equal(answer, own)
    assert runner.fallbacks.totals() == {}


class Weighted(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.arange(6.0).reshape(3, 2))

    def forward(self, x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return x @ self.weight + bias


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
@pytest.mark.parametrize(
    "make",
    [
        torch.jit.script,
        lambda module: torch.jit.trace(module, (torch.ones(4, 3), torch.ones(2))),
        lambda module: torch.compile(module, backend="eager"),
    ],
    ids=["script", "trace", "compile"],
)
def test_jit_and_compiled_modules_name_their_arguments_and_keep_their_fingerprint(make: Any) -> None:
    module = Weighted().eval()
    runner = MonitoredRunner(make(module))
    x, bias = torch.ones(5, 3), torch.ones(2)
    assert runner.own_model.kind == "torch"
    assert runner.own_model.names == ("x", "bias")
    before = runner.fingerprint.value()
    torch.testing.assert_close(runner(x, bias), module(x, bias))
    torch.testing.assert_close(runner(x, bias=bias), module(x, bias))
    runner.fingerprint.renew()
    assert runner.fingerprint.value() == before
    assert MonitoredRunner(make(Weighted().eval()), name="again").fingerprint.value() == before


def test_a_pipeline_is_no_function() -> None:
    assert MonitoredRunner(Pipeline([("a", StandardScaler())]).fit(ROWS)).own_model.kind == "estimator"
