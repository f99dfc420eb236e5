"""Fitted estimators of each library, and releases of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import xgboost
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from bento_monitor.lab.model_host.array_estimator import ArrayEstimator
from bento_monitor.lab.model_host.convert_estimator import convert_estimator
from bento_monitor.releases.release_json import parse_release
from bento_monitor.releases.release_record import OutputForm, Release, TensorSpec
from bento_monitor.resilience.atomic_files import sha256_of
from bento_monitor.runner import MonitoredRunner
from bento_monitor.serving_config import Execution

ROWS = np.random.default_rng(3).normal(size=(300, 4))
CLASSES = (ROWS[:, 0] + ROWS[:, 1] ** 2 > 0.5).astype(int) + (ROWS[:, 2] > 1)
WORDS = np.array(["no", "maybe", "yes"])[CLASSES]
VALUES = ROWS @ np.array([1.0, -2.0, 0.5, 0.0])

ESTIMATORS: dict[str, Any] = {
    "pipeline": lambda: make_pipeline(StandardScaler(), LogisticRegression()).fit(ROWS, CLASSES),
    "scaled forest": lambda: make_pipeline(StandardScaler(), RandomForestClassifier(50, random_state=0)).fit(
        ROWS * 1000 + 7, CLASSES
    ),
    "scaled stages": lambda: make_pipeline(
        StandardScaler(), GradientBoostingClassifier(n_estimators=20, random_state=0)
    ).fit(ROWS * 1000 + 7, CLASSES),
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
    "lightgbm booster of a rare class": lambda: lightgbm.train(
        {"objective": "binary", "verbose": -1, "learning_rate": 0.01, "min_data_in_leaf": 20},
        lightgbm.Dataset(np.repeat(ROWS, 10, axis=0), np.arange(3000) % 750 == 0),
        20,
    ),
}
METHODS = ("predict", "predict_proba", "decision_function")


def methods_of(model: Any) -> list[str]:
    return [name for name in METHODS if hasattr(model, name) and not (name == METHODS[2] and is_lightgbm(model))]


def is_lightgbm(model: Any) -> bool:
    return type(model).__module__.startswith("lightgbm")


def released(runner: MonitoredRunner, folder: Path, rows: Any) -> Release:
    """Return a release of an estimator, converted with the rows."""
    model, path = runner.own_model.model, folder / "model.onnx"
    inputs = inputs_of(runner, rows)
    outputs = convert_estimator(ArrayEstimator(runner.own_model), methods_of(model), inputs, path, rows=rows)
    return release_of(runner, path, inputs, outputs)


def inputs_of(runner: MonitoredRunner, rows: Any) -> tuple[TensorSpec, ...]:
    return (TensorSpec(runner.own_model.names[0], str(rows.dtype), (None, rows.shape[1]), (4, rows.shape[1])),)


def release_of(
    runner: MonitoredRunner, path: Path, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]
) -> Release:
    """Return a release of the runner's estimator with an existing graph."""
    release = Release(
        name="svc-release:1",
        service="Svc",
        apis=("predict",),
        runner=runner.name,
        execution=Execution("onnxruntime", "fp32", 1),
        batching=None,
        workers=None,
        artifact_file=path.name,
        artifact_sha256=sha256_of(path),
        model_fingerprint=runner.fingerprint.value(),
        inputs=inputs,
        outputs=outputs,
        output_form=OutputForm("methods", "numpy"),
    )
    return parse_release(release.to_json())
