from __future__ import annotations

import numpy as np
import pytest

from optimizers.accuracy.compare import batch_dependence_min_cosine, compare_accuracy
from optimizers.accuracy.metrics import parse_metric
from optimizers.errors import StudyInputError

ACCURACY = parse_metric("accuracy")


def test_an_equal_model_loses_nothing() -> None:
    labels = np.random.default_rng(0).integers(0, 3, 200)
    answers = labels.astype(np.float32)
    answers[:20] = 9
    result = compare_accuracy(answers, answers, labels, ACCURACY)
    assert (result.baseline, result.candidate, result.drop, result.n) == (0.9, 0.9, 0.0, 200)
    assert result.drop_upper95 >= 0


def test_a_drop_is_baseline_less_candidate_and_its_bound_is_above_it() -> None:
    labels = np.zeros(400, dtype=np.int64)
    baseline, candidate = np.zeros(400, np.float32), np.zeros(400, np.float32)
    baseline[:40], candidate[:60] = 1, 1
    result = compare_accuracy(baseline, candidate, labels, ACCURACY)
    assert result.drop == pytest.approx(0.05)
    assert 0.05 < result.drop_upper95 < 0.1


def test_answers_with_nan_and_labels_without_a_pair_are_refused() -> None:
    labels = np.array([0, 1])
    with pytest.raises(StudyInputError, match="NaN"):
        compare_accuracy(np.array([0, np.nan], np.float32), np.zeros(2, np.float32), labels, ACCURACY)
    vectors = np.ones((2, 3), np.float32)
    with pytest.raises(StudyInputError, match="No sample"):
        compare_accuracy(vectors, vectors, labels, parse_metric("recall@10"))
    with pytest.raises(StudyInputError, match="2 answers for 3"):
        compare_accuracy(vectors, vectors, np.zeros(3, np.int64), ACCURACY)


def test_the_least_cosine_is_that_of_the_sample_that_company_changes_most() -> None:
    alone = np.array([[1, 0], [0, 2], [0, 0]], np.float32)
    company = np.array([[2, 0], [1, 1], [0, 0]], np.float32)
    assert batch_dependence_min_cosine(alone, alone) == pytest.approx(1.0)
    assert batch_dependence_min_cosine(alone, company) == pytest.approx(np.sqrt(0.5))
    assert batch_dependence_min_cosine(np.array([1.0]), np.array([3.0])) < 1
