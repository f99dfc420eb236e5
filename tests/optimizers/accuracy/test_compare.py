from __future__ import annotations

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


def test_an_equal_model_loses_nothing_but_what_unseen_samples_could() -> None:
    labels = np.random.default_rng(0).integers(0, 3, 200)
    answers = np.where(np.arange(200) < 20, 9, labels)
    result = compared("accuracy", answers, answers, labels)
    assert (result.baseline, result.candidate, result.drop, result.n) == (0.9, 0.9, 0.0, 200)
    assert result.upper == pytest.approx(1 - 0.05 ** (1 / 200), rel=0.01)
    assert (result.method, result.confidence) == ("flips", 0.95)


def test_a_drop_is_how_much_worse_the_candidate_is_whatever_the_metrics_direction() -> None:
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


def test_a_destroyed_classifier_that_answers_1_to_everybody_is_seen() -> None:
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
def test_each_form_of_metric_has_its_bound_and_equal_answers_never_give_0(name: str, method: str) -> None:
    generator = np.random.default_rng(1)
    labels = generator.integers(0, 2, 400)
    answers = np.clip(labels * 0.3 + generator.random(400) * 0.69, 0.01, 0.99)
    result = compared(name, answers, answers, labels)
    assert (result.method, result.drop) == (method, 0.0)
    assert result.upper > 2 / 400


def test_a_bound_is_wider_for_a_smaller_alpha_and_is_the_same_each_time() -> None:
    generator = np.random.default_rng(2)
    labels = generator.integers(0, 2, 300)
    answers = np.clip(labels * 0.3 + generator.random(300) * 0.7, 0, 0.999)
    other = np.clip(answers + generator.normal(size=300) * 0.05, 0, 0.999)
    results = [compared("roc_auc", answers, other, labels, alpha=alpha) for alpha in (0.05, 0.05, 0.01)]
    assert results[0] == results[1]
    assert results[2].upper > results[0].upper


def test_rows_choose_the_samples_also_among_answers_in_a_list() -> None:
    labels = np.array([0, 1, 0, 1, 1, 0])
    answers = [{"label": int(label)} for label in (0, 1, 1, 1, 1, 0)]
    rows = np.array([0, 1, 3, 5])
    result = compared("accuracy", answers, answers, labels, rows=rows)
    assert (result.baseline, result.n) == (1.0, 4)


def test_a_cap_never_hides_a_drop_that_was_seen() -> None:
    numbers = np.linspace(0, 1, 200)
    candidate = numbers.copy()
    candidate[0] = 1e6
    result = compared("mae", numbers, candidate, numbers)
    assert result.capped == 1
    assert result.upper >= result.drop == pytest.approx(5000)


def test_agreement_needs_no_labels_and_is_of_the_baselines_own_answers() -> None:
    baseline = np.arange(100) % 4
    candidate = np.where(np.arange(100) < 3, 9, baseline)
    result = compared("agreement", baseline, candidate, None)
    assert (result.baseline, result.candidate) == (1.0, 0.97)
    assert result.upper > 0.03


def test_answers_that_are_nan_and_counts_that_differ_are_refused() -> None:
    labels = np.array([0, 1, 1])
    scores = np.array([0.1, 0.9, 0.8])
    with pytest.raises(StudyInputError, match="Sample 1.*NaN"):
        compared("accuracy", scores, np.array([0.1, np.nan, 0.8]), labels)
    with pytest.raises(StudyInputError, match="2 answers for 3"):
        compared("accuracy", scores, scores[:2], labels)


def test_too_few_samples_are_answered_with_the_number_that_would_do() -> None:
    labels = np.arange(200) % 2
    metric = parse_metric("accuracy")
    worth = assess(labels, labels, metric, choose_reading(labels, labels, metric))
    assert (worth.value, worth.n, worth.largest_loss, worth.method) == (1.0, 200, 1.0, "flips")
    with pytest.raises(StudyInputError, match="200 samples cannot prove accuracy.*at least 598 would, more if"):
        require_enough(200, metric, 0.005, worth)
    require_enough(598, metric, 0.005, worth)
    with pytest.raises(StudyInputError, match="drop of at most 0"):
        require_enough(598, metric, 0.0, worth)


@pytest.mark.parametrize("name", ["accuracy", "f1", "roc_auc", "log_loss", "brier_score"])
def test_the_number_that_would_do_does_for_a_candidate_that_answers_the_same(name: str) -> None:
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
