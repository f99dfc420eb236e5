from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optimizers.accuracy.compare import AccuracyResult, assess, compare_accuracy, require_enough
from optimizers.accuracy.metrics import parse_metric
from optimizers.accuracy.reading import choose_reading
from optimizers.errors import StudyInputError


def compared(name: str, baseline: Any, candidate: Any, labels: Any, **options: Any) -> AccuracyResult:
    metric = parse_metric(name)
    return compare_accuracy(baseline, candidate, labels, metric, choose_reading(baseline, labels, metric), **options)


def test_bound_of_an_equal_model_covers_only_unseen_samples() -> None:
    labels = np.random.default_rng(0).integers(0, 3, 200)
    answers = np.where(np.arange(200) < 20, 9, labels)
    result = compared("accuracy", answers, answers, labels)
    assert (result.baseline, result.candidate, result.drop, result.n) == (0.9, 0.9, 0.0, 200)
    assert result.upper == pytest.approx(1 - 0.05 ** (1 / 200), rel=0.01)
    assert (result.method, result.confidence) == ("flips", 0.95)


def test_drop_is_positive_for_a_worse_candidate_in_either_metric_direction() -> None:
    labels = np.zeros(400, dtype=np.int64)
    labels[:10] = 1
    baseline, candidate = labels.copy(), labels.copy()
    baseline[20:60], candidate[20:80] = 1, 1
    result = compared("accuracy", baseline, candidate, labels)
    assert result.drop == pytest.approx(0.05)
    assert 0.05 < result.upper < 0.1
    numbers = np.linspace(0, 1, 400)
    errors = compared("mae", numbers + 0.01, numbers + 0.03, numbers)
    assert (errors.baseline, errors.candidate) == (pytest.approx(0.01), pytest.approx(0.03))
    assert errors.drop == pytest.approx(0.02)
    assert errors.upper > 0.02


def test_classifier_that_always_answers_1_is_detected() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 300)
    baseline = np.where(labels == 1, 0.97, 0.03)
    result = compared("accuracy", baseline, np.ones(300), labels)
    assert result.baseline == 1.0
    assert result.drop == pytest.approx(float((labels == 0).mean()))
    assert result.upper > result.drop


@pytest.mark.parametrize(
    ("name", "method"),
    [("f1", "bootstrap"), ("roc_auc", "bootstrap"), ("log_loss", "t"), ("accuracy", "flips"), ("brier_score", "t")],
)
def test_metric_form_decides_the_bound_and_equal_answers_never_give_0(name: str, method: str) -> None:
    generator = np.random.default_rng(1)
    labels = generator.integers(0, 2, 400)
    answers = np.clip(labels * 0.3 + generator.random(400) * 0.69, 0.01, 0.99)
    result = compared(name, answers, answers, labels)
    assert (result.method, result.drop) == (method, 0.0)
    assert result.upper > 2 / 400


def test_bound_is_reproducible_and_wider_for_a_smaller_alpha() -> None:
    generator = np.random.default_rng(2)
    labels = generator.integers(0, 2, 300)
    answers = np.clip(labels * 0.3 + generator.random(300) * 0.7, 0, 0.999)
    other = np.clip(answers + generator.normal(size=300) * 0.05, 0, 0.999)
    results = [compared("roc_auc", answers, other, labels, alpha=alpha) for alpha in (0.05, 0.05, 0.01)]
    assert results[0] == results[1]
    assert results[2].upper > results[0].upper


def test_rows_select_samples_from_a_list_of_answers() -> None:
    labels = np.array([0, 1, 0, 1, 1, 0])
    answers = [{"label": int(label)} for label in (0, 1, 1, 1, 1, 0)]
    rows = np.array([0, 1, 3, 5])
    result = compared("accuracy", answers, answers, labels, rows=rows)
    assert (result.baseline, result.n) == (1.0, 4)


def test_cap_never_hides_an_observed_drop() -> None:
    numbers = np.linspace(0, 1, 200)
    candidate = numbers.copy()
    candidate[0] = 1e6
    result = compared("mae", numbers, candidate, numbers)
    assert result.capped == 1
    assert result.upper >= result.drop == pytest.approx(5000)


def test_agreement_compares_with_the_baseline_and_needs_no_labels() -> None:
    baseline = np.arange(100) % 4
    candidate = np.where(np.arange(100) < 3, 9, baseline)
    result = compared("agreement", baseline, candidate, None)
    assert (result.baseline, result.candidate) == (1.0, 0.97)
    assert result.upper > 0.03


def test_nan_answers_and_different_counts_are_refused() -> None:
    labels = np.array([0, 1, 1])
    scores = np.array([0.1, 0.9, 0.8])
    with pytest.raises(StudyInputError, match="Sample 1.*NaN"):
        compared("accuracy", scores, np.array([0.1, np.nan, 0.8]), labels)
    with pytest.raises(StudyInputError, match="2 answers for 3"):
        compared("accuracy", scores, scores[:2], labels)


def test_too_few_samples_error_states_the_needed_number() -> None:
    labels = np.arange(200) % 2
    metric = parse_metric("accuracy")
    worth = assess(labels, labels, metric, choose_reading(labels, labels, metric))
    assert (worth.value, worth.n, worth.largest_loss, worth.method) == (1.0, 200, 1.0, "flips")
    with pytest.raises(StudyInputError, match="200 samples cannot prove accuracy.*at least 598 are needed, more if"):
        require_enough(200, metric, 0.005, worth)
    require_enough(598, metric, 0.005, worth)
    with pytest.raises(StudyInputError, match="drop of at most 0"):
        require_enough(598, metric, 0.0, worth)


@pytest.mark.parametrize("name", ["accuracy", "f1", "roc_auc", "log_loss", "brier_score"])
def test_needed_number_suffices_for_a_candidate_with_equal_answers(name: str) -> None:
    generator = np.random.default_rng(3)
    metric = parse_metric(name)

    def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
        labels = (np.arange(n) % 2).astype(np.int64)
        return np.clip(labels * 0.5 + generator.random(n) * 0.5, 0.01, 0.99), labels

    answers, labels = draw(1000)
    worth = assess(answers, labels, metric, choose_reading(answers, labels, metric))
    tolerance = worth.largest_loss * 3.0 / 1000
    require_enough(1000, metric, tolerance, worth)
    assert compared(name, answers, answers, labels).upper <= tolerance
    with pytest.raises(StudyInputError):
        require_enough(900, metric, tolerance, worth)


def test_equal_scores_of_a_user_function_still_need_enough_samples(tmp_path: Path) -> None:
    (tmp_path / "judge_of_stars.py").write_text("def stars(answers, labels):\n    return [5.0] * len(labels)\n")
    metric = parse_metric("judge_of_stars:stars", tmp_path)
    labels = np.zeros(40)
    reading = choose_reading(labels, labels, metric)
    worth = assess(labels, labels, metric, reading)
    assert worth.largest_loss == 5.0
    with pytest.raises(StudyInputError, match="40 samples cannot prove"):
        require_enough(40, metric, 0.01, worth)
    assert compare_accuracy(labels, labels, labels, metric, reading).upper > 0.1


@pytest.mark.parametrize("name", ["mae", "mse", "rmse", "log_loss", "wer"])
def test_baseline_beyond_the_cap_can_still_get_worse(name: str) -> None:
    labels: Any = np.linspace(0, 1, 50)
    answers: Any = labels + 40
    if name == "log_loss":
        labels = np.arange(50) % 2
        answers = 1.0 - labels
    if name == "wer":
        labels, answers = np.array(["one two"] * 50), np.array(["a b c d"] * 50)
    result = compared(name, answers, answers, labels)
    assert result.capped == 100
    assert result.upper > 2 / 50 * result.largest_loss > 0


@pytest.mark.parametrize(
    ("name", "answers", "labels", "message"),
    [
        ("roc_auc", np.linspace(0, 1, 50), np.arange(50) == 7, "roc_auc has no bound on 50 samples.*rarest class"),
        ("cohen_kappa", np.zeros(50), np.zeros(50), "cohen_kappa is undefined"),
        ("r2", np.linspace(0, 1, 50), np.ones(50), "R2 is undefined if all 50 labels are equal"),
        ("mape", np.linspace(0, 1, 50), np.linspace(0, 1, 50), "A label is 0"),
        ("f1", np.ones(50), np.ones(50), "all labels are 1"),
        ("balanced_accuracy", np.eye(50), 1 - np.eye(50), "one class per sample"),
        ("log_loss", 1 - np.eye(50), np.eye(50), "one class per sample"),
        ("recall@3", np.eye(50), np.eye(50), "one label per sample.*50, 50"),
        ("wer", np.array(["a"] * 50), np.arange(50), "a text as each label"),
        ("cer", np.array(["a"] * 50), np.arange(50), "a text as each label"),
    ],
)
def test_baseline_without_a_possible_bound_is_refused(name: str, answers: Any, labels: Any, message: str) -> None:
    metric = parse_metric(name)
    with pytest.raises(StudyInputError, match=message):
        assess(answers, labels, metric, choose_reading(answers, labels, metric))


def test_relative_error_of_a_label_of_0_is_refused() -> None:
    labels = np.linspace(0, 10, 400)
    with pytest.raises(StudyInputError, match="A label is 0"):
        compared("mape", labels + 0.1, np.where(labels > 0, 0, 0.1), labels)


def test_user_function_may_modify_its_arguments(tmp_path: Path) -> None:
    text = """
def changing(answers, labels):
    for each in answers:
        each["label"] += 1
    labels += 1
    return sum(each["label"] == label for each, label in zip(answers, labels)) / len(labels)

def inside(answers, labels):
    labels[:] = [each["label"] for each in answers]
    return labels
"""
    (tmp_path / "judge_that_writes.py").write_text(text)
    labels = np.arange(60) % 3
    answers = [{"label": int(label)} for label in labels]
    kept = labels.copy()
    for name in ("changing", "inside"):
        metric = parse_metric(f"judge_that_writes:{name}", tmp_path)
        result = compare_accuracy(answers, answers, labels, metric, choose_reading(answers, labels, metric))
        assert result.drop == 0
        assert (labels == kept).all()
        assert answers[1] == {"label": 1}


def test_user_function_that_exits_the_program_is_reported(tmp_path: Path) -> None:
    (tmp_path / "judge_that_exits.py").write_text("import sys\ndef f(answers, labels):\n    sys.exit(0)\n")
    (tmp_path / "judge_as_a_script.py").write_text("import sys\nsys.exit(0)\n")
    metric = parse_metric("judge_that_exits:f", tmp_path)
    with pytest.raises(StudyInputError, match="failed: SystemExit"):
        assess(np.zeros(3), np.zeros(3), metric, choose_reading(np.zeros(3), np.zeros(3), metric))
    with pytest.raises(StudyInputError, match="cannot be imported: SystemExit"):
        parse_metric("judge_as_a_script:f", tmp_path)
