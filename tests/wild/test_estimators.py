"""Calls of estimators work as before and are traced, and a release of one never changes an output.

Seen before: a fitted pipeline was refused with "wraps a torch.nn.Module or the path of an ONNX file".
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from estimators import CLASSES, ESTIMATORS, METHODS, ROWS, WORDS, methods_of, released
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from bento_monitor.errors import BentoMonitorError
from bento_monitor.lab.model_host.array_estimator import ArrayEstimator
from bento_monitor.lab.model_host.convert_estimator import convert_estimator
from bento_monitor.lab.model_host.estimator_parity import check_parity
from bento_monitor.releases.release_record import TensorSpec
from bento_monitor.runner import MonitoredRunner
from bento_monitor.tracing.ledger.ledger import BatchRecord


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_methods_of_an_estimator_work_as_before_and_are_traced(kind: str, traced: BatchRecord) -> None:
    model = ESTIMATORS[kind]()
    runner = MonitoredRunner(model, name=kind)
    for method in methods_of(model):
        np.testing.assert_array_equal(getattr(runner, method)(ROWS), getattr(model, method)(ROWS))
    assert [(call.method, call.rows) for call in traced.model_calls] == [(name, 300) for name in methods_of(model)]
    assert hasattr(runner, "decision_function") == hasattr(model, "decision_function")
    with pytest.raises(TypeError, match="predict"):
        runner(ROWS)


def test_runner_has_the_attributes_of_its_estimator() -> None:
    runner = MonitoredRunner(LogisticRegression().fit(ROWS, WORDS))
    assert list(runner.classes_) == ["maybe", "no", "yes"]
    assert runner.fit(ROWS, CLASSES) is runner
    assert list(runner.classes_) == [0, 1, 2]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", ESTIMATORS)
def test_released_methods_keep_type_and_shape(kind: str, dtype: str, tmp_path: Path) -> None:
    model = ESTIMATORS[kind]()
    rows = np.random.default_rng(5).normal(size=(300, 4)).astype(dtype)
    runner = MonitoredRunner(model, name=kind)
    runner.activate(runner.prepare(released(runner, tmp_path, rows), tmp_path))
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
        ("dtype", sparse.csr_matrix(ROWS)),
        ("dtype", pd.DataFrame(ROWS).astype("Float64")),
        ("dtype", pd.DataFrame(ROWS.astype(str))),
        ("dtype", ROWS.astype(str).tolist()),
        ("dtype", ROWS.astype(np.float32)),
        ("dtype", ROWS.astype(np.int64)),
    ],
    ids=["sparse", "frame of nullable numbers", "frame of text", "lists of text", "float32", "integers"],
)
def test_unsupported_rows_fall_back_to_the_estimator(reason: str, rows: Any, tmp_path: Path) -> None:
    model = ESTIMATORS["pipeline"]() if not sparse.issparse(rows) else LogisticRegression().fit(ROWS, CLASSES)
    runner = MonitoredRunner(model)
    runner.activate(runner.prepare(released(runner, tmp_path, ROWS), tmp_path))
    np.testing.assert_array_equal(runner.predict(rows), model.predict(rows))
    assert runner.fallbacks.totals() == {("svc-release:1", reason): 1}


def test_rows_that_the_estimator_refuses_are_also_refused_with_a_release(tmp_path: Path) -> None:
    runner = MonitoredRunner(ESTIMATORS["pipeline"]())
    runner.activate(runner.prepare(released(runner, tmp_path, ROWS), tmp_path))
    with_nan = np.where(ROWS > 2, np.nan, ROWS)
    for rows, reason in ((with_nan, "value"), (ROWS[:0], "shape"), (ROWS[:, :2], "shape"), (ROWS[0], "rank")):
        before = runner.fallbacks.totals().get(("svc-release:1", reason), 0)
        with pytest.raises(ValueError, match="NaN|sample|features|1D"):
            runner.predict(rows)
        assert runner.fallbacks.totals()[("svc-release:1", reason)] == before + 1


def test_method_without_a_graph_output_falls_back_to_the_estimator(tmp_path: Path) -> None:
    runner = MonitoredRunner(ESTIMATORS["pipeline"]())
    runner.activate(runner.prepare(released(runner, tmp_path, ROWS), tmp_path))
    np.testing.assert_array_equal(runner.predict_log_proba(ROWS), runner.own_model.model.predict_log_proba(ROWS))
    assert runner.fallbacks.totals() == {("svc-release:1", "method"): 1}


def test_graph_with_different_outputs_is_not_accepted(tmp_path: Path) -> None:
    runner = MonitoredRunner(ESTIMATORS["pipeline"]())
    released(runner, tmp_path, ROWS)
    other = MonitoredRunner(make_pipeline(StandardScaler(), LogisticRegression(C=1e-3)).fit(ROWS, CLASSES), name="b")
    assert all(
        parity.holds
        for parity in check_parity(ArrayEstimator(runner.own_model), METHODS, tmp_path / "model.onnx", ROWS)
    )
    assert not any(
        parity.holds for parity in check_parity(ArrayEstimator(other.own_model), METHODS, tmp_path / "model.onnx", ROWS)
    )


class Center(StandardScaler):
    """A transformer of the user, without a converter."""

    def transform(self, X: Any, copy: bool | None = None) -> Any:  # noqa: N803
        return super().transform(X, copy) * 2


def test_missing_converter_is_reported_in_one_sentence(tmp_path: Path) -> None:
    runner = MonitoredRunner(make_pipeline(Center(), LogisticRegression()).fit(ROWS, CLASSES))
    inputs = (TensorSpec("X", "float64", (None, 4), (4, 4)),)
    with pytest.raises(BentoMonitorError, match="Pipeline cannot be served as ONNX"):
        convert_estimator(ArrayEstimator(runner.own_model), ["predict"], inputs, tmp_path / "model.onnx", rows=ROWS)
    assert not (tmp_path / "model.onnx").exists()


def test_pipeline_is_an_estimator_not_a_function() -> None:
    assert MonitoredRunner(Pipeline([("a", StandardScaler())]).fit(ROWS)).own_model.kind == "estimator"


def test_samples_of_one_row_do_not_fix_the_batch(tmp_path: Path) -> None:
    """An API that is not batchable calls the estimator only with one row at a time."""
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(ROWS, CLASSES)
    inputs = (TensorSpec("X", "float64", (1, 4), (1, 4)),)
    convert_estimator(
        ArrayEstimator(MonitoredRunner(model).own_model), ["predict"], inputs, tmp_path / "model.onnx", rows=ROWS
    )
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    assert (session.run(None, {"X": ROWS[:7]})[0] == model.predict(ROWS[:7])).all()
    assert session.run(None, {"X": ROWS[:1]})[0].shape == (1,)
