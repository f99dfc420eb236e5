"""The fingerprint of an estimator depends on its computation: equal in every process, different after any change."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xgboost
from estimators import CLASSES, ESTIMATORS, ROWS, VALUES, methods_of, released
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.preprocessing import MinMaxScaler

from bento_monitor.errors import ReleaseError
from bento_monitor.fingerprints import ModelFingerprint
from bento_monitor.runner import MonitoredRunner
from bento_monitor.worker.runner_models import RunnerModels

FINGERPRINT = """
import sys
sys.path.insert(0, {folder!r})
import estimators as here
for kind, make in here.ESTIMATORS.items():
    print(kind, here.MonitoredRunner(make(), name=kind).fingerprint.value())
"""


def test_fingerprint_is_equal_in_every_process_and_after_calls() -> None:
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


def test_new_fit_and_changed_parameter_change_the_fingerprint() -> None:
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


def test_training_history_is_not_part_of_a_boosters_fingerprint() -> None:
    values = set()
    for watched in ([], [(xgboost.DMatrix(ROWS, VALUES), "train")]):
        booster = xgboost.train({"nthread": 1}, xgboost.DMatrix(ROWS, VALUES), 5, evals=watched, verbose_eval=False)
        booster.set_attr(note=str(len(watched)))
        values.add(MonitoredRunner(booster, name=f"b{len(watched)}").fingerprint.value())
    assert len(values) == 1


def _write(array: Any, value: float) -> None:
    array[0] = value


def _load_other_trees(model: Any) -> None:
    other = xgboost.XGBClassifier(n_estimators=5).fit(ROWS, CLASSES[::-1])
    model.get_booster().load_model(other.get_booster().save_raw("ubj"))


WRITES: dict[str, tuple[Any, Callable[[Any], object]]] = {
    "coefficients": (LogisticRegression().fit(ROWS, CLASSES), lambda model: _write(model.coef_, 0.0)),
    "a scaler in a pipeline": (ESTIMATORS["pipeline"](), lambda model: _write(model[0].mean_, 9.0)),
    "a step in a pipeline": (
        ESTIMATORS["pipeline"](),
        lambda model: _write(model.steps, ("s", MinMaxScaler().fit(ROWS))),
    ),
    "a threshold": (ESTIMATORS["words"](), lambda model: _write(model.estimators_[0].tree_.threshold, 9.0)),
    "a leaf": (ESTIMATORS["words"](), lambda model: _write(model.estimators_[0].tree_.value, 0.5)),
    "bins": (ESTIMATORS["histograms"](), lambda model: _write(model._predictors[0][0].nodes["value"], 9.0)),
    "support vectors": (ESTIMATORS["binary svc"](), lambda model: _write(model.support_vectors_, 9.0)),
    "neighbors": (ESTIMATORS["neighbors"](), lambda model: _write(model._y, 1 - model._y[0])),
    "a part of a fit": (SGDClassifier().fit(ROWS, CLASSES), lambda model: model.partial_fit(ROWS + 1, CLASSES)),
    "a file of XGBoost": (ESTIMATORS["xgboost"](), _load_other_trees),
    "a leaf of LightGBM": (ESTIMATORS["lightgbm booster"](), lambda model: model.set_leaf_output(0, 0, 9.0)),
}


@pytest.mark.parametrize("kind", WRITES)
def test_write_in_place_changes_the_fingerprint(kind: str) -> None:
    model, write = WRITES[kind]
    fingerprint = MonitoredRunner(model, name=kind).fingerprint
    before = fingerprint.present_value()
    assert fingerprint.present_value() == before
    write(model)
    assert fingerprint.present_value() != before


def test_release_is_not_served_after_a_write_to_the_weights_in_place(tmp_path: Path) -> None:
    runner = MonitoredRunner(LogisticRegression().fit(ROWS, CLASSES))
    release, models = released(runner, tmp_path, ROWS), RunnerModels((), lambda _: None, lambda: None)
    models.prepare("model", release, tmp_path)
    assert models.fingerprints(["model"]) == {"model": release.model_fingerprint}
    runner.coef_[:] = 0
    with pytest.raises(ReleaseError, match="made from another model"):
        models.prepare("model", release, tmp_path)


def test_hashing_next_to_requests_uses_one_hundredth_of_the_time() -> None:
    runner = MonitoredRunner(LogisticRegression().fit(ROWS, CLASSES))
    seconds = itertools.count()  # each reading of the clock is one second later, so hashing takes one
    fingerprint = ModelFingerprint(runner.own_model, clock=lambda: float(next(seconds)))
    before = fingerprint.value()
    runner.coef_[:] = 0
    asked = [fingerprint.watched_value() for _ in range(100)]
    assert 95 <= asked.count(before) < 100
    assert asked[-1] == fingerprint.present_value()
    runner.fit(ROWS, CLASSES[::-1])
    assert fingerprint.watched_value() not in asked
