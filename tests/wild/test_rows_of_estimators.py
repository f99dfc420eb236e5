"""Inputs of estimators other than arrays of finite numbers: missing values, data frames, lists, keyword flags.

A release has the estimator's outputs, or leaves the call to it; unsupported inputs are refused before anything runs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from estimators import CLASSES, ESTIMATORS, ROWS, released
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from bento_monitor.errors import BentoMonitorError, ServiceError
from bento_monitor.lab.model_host.array_estimator import ArrayEstimator
from bento_monitor.lab.model_host.convert_estimator import convert_estimator
from bento_monitor.lab.model_host.estimator_calls import array_estimator, calls_as_arrays
from bento_monitor.lab.model_host.estimator_parity import check_parity
from bento_monitor.lab.model_host.state import CapturedCall
from bento_monitor.releases.release_record import TensorSpec
from bento_monitor.runner import MonitoredRunner

GENERATOR = np.random.default_rng(7)
HOLED = np.where(GENERATOR.random(ROWS.shape) < 0.1, np.nan, ROWS)
COUNTS = GENERATOR.integers(1, 5, ROWS.shape).astype(float)
ABOVE = (COUNTS[:, 0] > 2).astype(int)
FRAME = pd.DataFrame(ROWS, columns=["age", "height", "weight", "income"])


def taken_over(model: Any, folder: Path, rows: Any = ROWS) -> MonitoredRunner:
    runner = MonitoredRunner(model)
    runner.activate(runner.prepare(released(runner, folder, rows), folder))
    return runner


TREES: dict[str, Any] = {
    "xgboost": xgboost.XGBClassifier(n_estimators=5),
    "lightgbm": lightgbm.LGBMClassifier(n_estimators=5, verbose=-1),
    "histograms": HistGradientBoostingClassifier(max_iter=5),
}


@pytest.mark.parametrize("kind", TREES)
@pytest.mark.parametrize("seen", [ROWS, HOLED], ids=["fitted without", "fitted with"])
def test_release_serves_missing_values_if_the_estimator_accepts_them(kind: str, seen: Any, tmp_path: Path) -> None:
    model = TREES[kind].fit(seen, CLASSES)
    runner = taken_over(model, tmp_path)
    np.testing.assert_allclose(runner.predict_proba(HOLED), model.predict_proba(HOLED), rtol=1e-4, atol=1e-5)
    assert runner.fallbacks.totals() == {}
    infinite = np.where(np.isnan(HOLED), np.inf, ROWS)
    if kind != "xgboost":  # it refuses them itself
        np.testing.assert_array_equal(runner.predict(infinite), model.predict(infinite))
        assert runner.fallbacks.totals() == {("svc-release:1", "value"): 1}


REFUSED: dict[str, tuple[Any, Any, str]] = {
    "0 is missing": (
        lightgbm.LGBMClassifier(n_estimators=5, verbose=-1, zero_as_missing=True).fit(
            np.where(np.isnan(HOLED), 0, ROWS), CLASSES
        ),
        ROWS,
        "differs from the estimator",
    ),
    "a category of its own": (
        make_pipeline(OneHotEncoder(), LogisticRegression()).fit(COUNTS, ABOVE),
        COUNTS,
        "refuses values",
    ),
    "an order of its own": (
        make_pipeline(OrdinalEncoder(), LogisticRegression()).fit(COUNTS, ABOVE),
        COUNTS,
        "refuses values|differs from the estimator|cannot be served",
    ),
    "a split on missing values": (DecisionTreeClassifier().fit(HOLED, CLASSES), HOLED, "missing values"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_graph_that_would_differ_from_the_estimator_is_refused(kind: str, tmp_path: Path) -> None:
    model, rows, match = REFUSED[kind]
    inputs = (TensorSpec("X", "float64", (None, 4), (4, 4)),)
    with pytest.raises(BentoMonitorError, match=match):
        convert_estimator(
            ArrayEstimator(MonitoredRunner(model).own_model), ["predict"], inputs, tmp_path / "model.onnx", rows=rows
        )


@pytest.mark.parametrize("rows", [ROWS.tolist(), pd.DataFrame(ROWS)], ids=["lists", "frame"])
def test_release_serves_lists_and_frames_of_numbers(rows: Any, tmp_path: Path) -> None:
    runner = taken_over(ESTIMATORS["pipeline"](), tmp_path)
    np.testing.assert_array_equal(runner.predict(rows), runner.own_model.model.predict(rows))
    assert runner.fallbacks.totals() == {}


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_frame_with_other_columns_falls_back_to_the_estimator(tmp_path: Path) -> None:
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(FRAME, CLASSES)
    runner = taken_over(model, tmp_path)
    np.testing.assert_array_equal(runner.predict(FRAME), model.predict(FRAME))
    assert runner.fallbacks.totals() == {}
    with pytest.raises(ValueError, match="feature names"):
        runner.predict(FRAME[FRAME.columns[::-1]])
    assert runner.fallbacks.totals() == {("svc-release:1", "dtype"): 1}


def called(model: Any, rows: Any, **flags: Any) -> tuple[MonitoredRunner, list[CapturedCall]]:
    runner = MonitoredRunner(model)
    answer = runner.own_model.run((rows,), flags, "predict")
    return runner, [CapturedCall({runner.own_model.names[0]: rows, **flags}, {"predict": answer})]


def test_study_sees_captured_lists_and_frames_as_arrays() -> None:
    for rows in (FRAME, ROWS.tolist(), ROWS):
        runner, calls = called(LogisticRegression().fit(FRAME.to_numpy(), CLASSES), ROWS)
        calls = [CapturedCall({"X": rows}, calls[0].outputs)]
        (call,) = calls_as_arrays(array_estimator("model", runner.own_model, calls), calls)
        np.testing.assert_array_equal(call.inputs["X"], ROWS)
        del runner


TOLD: dict[str, tuple[Any, Any, dict[str, Any], str]] = {
    "a flag of XGBoost": (ESTIMATORS["xgboost"], ROWS, {"output_margin": True}, "called with output_margin=True"),
    "a flag of LightGBM": (ESTIMATORS["lightgbm"], ROWS, {"raw_score": True}, "called with raw_score=True"),
    "fewer trees": (ESTIMATORS["lightgbm booster"], ROWS, {"num_iteration": 2}, "called with num_iteration=2"),
    "no check": (
        lambda: DecisionTreeClassifier().fit(ROWS, CLASSES),
        ROWS.astype(np.float32),
        {"check_input": False},
        "called with check_input=False",
    ),
}


@pytest.mark.parametrize("kind", TOLD)
def test_calls_that_no_graph_supports_are_refused_at_once(kind: str) -> None:
    make, rows, flags, match = TOLD[kind]
    runner, calls = called(make(), rows, **flags)
    with pytest.raises(ServiceError, match=match):
        array_estimator("model", runner.own_model, calls)


def test_call_with_a_flag_falls_back_to_the_estimator(tmp_path: Path) -> None:
    runner = taken_over(ESTIMATORS["xgboost"](), tmp_path)
    model = runner.own_model.model
    np.testing.assert_array_equal(runner.predict(ROWS, output_margin=True), model.predict(ROWS, output_margin=True))
    assert [reason for _, reason in runner.fallbacks.totals()] == ["dtype"]


def probable_vectors() -> Any:
    return SVC(probability=True, random_state=0).fit(ROWS, CLASSES)


IN_PART: dict[str, tuple[Callable[[], Any], tuple[str, ...], str | None]] = {
    "components": (lambda: make_pipeline(StandardScaler(), PCA(2)).fit(ROWS), ("transform",), None),
    "vectors": (probable_vectors, ("predict", "predict_proba"), None),
    "their distances": (probable_vectors, ("predict", "decision_function"), "the estimator's decision_function"),
    "boosted": (lambda: TREES["lightgbm"].fit(ROWS, ABOVE), ("predict", "predict_proba"), None),
}


@pytest.mark.filterwarnings("ignore:The `probability` parameter:FutureWarning")
@pytest.mark.parametrize("kind", IN_PART)
def test_partly_convertible_estimator_is_correct_in_part_and_refused_otherwise(kind: str, tmp_path: Path) -> None:
    make, methods, refusal = IN_PART[kind]
    runner = MonitoredRunner(make())
    inputs, path = (TensorSpec("X", "float64", (None, 4), (4, 4)),), tmp_path / "model.onnx"
    if refusal is not None:
        with pytest.raises(BentoMonitorError, match=refusal):
            convert_estimator(ArrayEstimator(runner.own_model), methods, inputs, path, rows=ROWS)
        return
    convert_estimator(ArrayEstimator(runner.own_model), methods, inputs, path, rows=ROWS)
    assert all(
        parity.holds for parity in check_parity(ArrayEstimator(runner.own_model), methods, path, ROWS[:200] * 1.1)
    )
