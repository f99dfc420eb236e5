from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optimizers.accuracy.metrics import METRIC_NAMES, parse_metric
from optimizers.accuracy.outputs import OutputReading
from optimizers.errors import StudyInputError

RAW = OutputReading("raw")


@pytest.mark.parametrize(
    ("text", "name", "is_higher_better"),
    [
        ("accuracy", "accuracy", True),
        ("accuracy_score", "accuracy", True),
        ("f1", "f1", True),
        ("f1_score", "f1", True),
        ("recall", "recall", True),
        ("recall_macro", "recall_macro", True),
        ("recall@", "recall@10", True),
        ("recall@5", "recall@5", True),
        ("ndcg@5", "ndcg@5", True),
        ("mae", "mean_absolute_error", False),
        ("neg_mean_absolute_error", "mean_absolute_error", False),
        ("neg_root_mean_squared_error", "root_mean_squared_error", False),
        ("rmse", "root_mean_squared_error", False),
        ("mape", "mean_absolute_percentage_error", False),
        ("r2_score", "r2", True),
        ("neg_log_loss", "log_loss", False),
        ("neg_brier_score", "brier_score", False),
        ("brier_score_loss", "brier_score", False),
        ("brier", "brier_score", False),
        (" wer ", "wer", False),
        ("mcc", "matthews_corrcoef", True),
    ],
)
def test_metric_aliases_resolve_and_keep_the_direction(text: str, name: str, is_higher_better: bool) -> None:
    metric = parse_metric(text)
    assert (metric.name, metric.is_higher_better) == (name, is_higher_better)


@pytest.mark.parametrize(
    "text",
    [
        "recal",
        "",
        "recall@0",
        "recall@x",
        "accuracy@3",
        "recall@-1",
        "recall@1.5",
        "neg_r2",
        "neg_accuracy",
        "f1_samples",
    ],
)
def test_unknown_metric_error_lists_the_available_metrics(text: str) -> None:
    with pytest.raises(StudyInputError, match=r"recall@K, ndcg@K, accuracy.*module:function"):
        parse_metric(text)


def test_every_listed_name_is_a_metric() -> None:
    for name in METRIC_NAMES:
        if name != "module:function":
            assert parse_metric(name.replace("@K", "@3")).name == name.replace("@K", "@3")


def test_only_metrics_that_need_a_missing_library_name_the_install_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    find_spec = importlib.util.find_spec

    def missing(name: str, *rest: Any) -> Any:
        return None if name in ("sklearn", "jiwer") else find_spec(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", missing)
    for name in ("accuracy", "mae", "recall@10", "ndcg@5", "agreement"):
        parse_metric(name)
    for name in ("f1_macro", "roc_auc", "log_loss", "r2", "wer"):
        with pytest.raises(StudyInputError, match=r"pip install 'bento-monitor\[optimize\]'"):
            parse_metric(name)


FUNCTIONS = """
def share(answers, labels):
    return float((answers == labels).mean())

def each(answers, labels):
    return answers == labels

def errors(answers, labels):
    return abs(answers - labels)

def fails(answers, labels):
    raise KeyError("label")

def short(answers, labels):
    return [1.0]

def nan(answers, labels):
    return float("nan")

number = 3
"""


def test_user_function_returns_one_number_or_a_score_per_sample(tmp_path: Path) -> None:
    (tmp_path / "judge_of_scores.py").write_text(FUNCTIONS)
    answers, labels = np.array([1, 2, 3, 4]), np.array([1, 2, 3, 5])
    whole = parse_metric("judge_of_scores:share", tmp_path).evaluate(answers, labels, RAW)
    assert whole.value == 0.75
    assert whole.score(np.array([2, 0, 0, 2])) == 0.5
    each = parse_metric("judge_of_scores:each", tmp_path).evaluate(answers, labels, RAW)
    assert (each.is_binary, each.values.tolist()) == (True, [1, 1, 1, 0])
    lower = parse_metric("judge_of_scores:errors:lower", tmp_path).evaluate(answers * 10, labels, RAW)
    assert lower.value > 0
    assert lower.values.tolist() == [-9, -18, -27, -35]
    assert lower.least == -35


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("judge_of_faults:nothing", "cannot be imported"),
        ("no_such_module_at_all:f", "cannot be imported"),
        ("judge_of_faults:number", "cannot be called"),
        ("judge_of_faults:", "module:function"),
        (":f", "module:function"),
        ("judge_of_faults:share:up", "lower"),
    ],
)
def test_user_function_that_cannot_be_found_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "judge_of_faults.py").write_text(FUNCTIONS)
    with pytest.raises(StudyInputError, match=message):
        parse_metric(text, tmp_path)


@pytest.mark.parametrize(
    ("name", "message"), [("fails", "KeyError"), ("short", "one for each of the 3 samples"), ("nan", "NaN")]
)
def test_failing_user_function_is_reported(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "judge_that_fails.py").write_text(FUNCTIONS)
    metric = parse_metric(f"judge_that_fails:{name}", tmp_path)
    with pytest.raises(StudyInputError, match=message):
        metric.evaluate(np.arange(3), np.arange(3), RAW)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("acuracy", "accuracy"),
        ("F1-macro", "f1_macro"),
        ("logloss", "log_loss"),
        ("MAE", "mae"),
        ("recall@x", "recall@K"),
    ],
)
def test_similar_metric_name_is_suggested(text: str, meant: str) -> None:
    with pytest.raises(StudyInputError, match=f"no metric '{text}'. Did you mean '{meant}'"):
        parse_metric(text)


def test_no_metric_is_suggested_without_a_similar_name() -> None:
    with pytest.raises(StudyInputError, match="no metric 'beauty'. Use one of"):
        parse_metric("beauty")
