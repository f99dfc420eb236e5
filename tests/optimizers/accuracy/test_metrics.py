from __future__ import annotations

import numpy as np
import pytest

from optimizers.accuracy.metrics import parse_metric
from optimizers.errors import StudyInputError


def recall_by_hand(vectors: np.ndarray, labels: list[str], k: int) -> list[float]:
    scores = []
    for i, vector in enumerate(vectors):
        same = sum(label == labels[i] for label in labels) - 1
        if not same:
            continue
        cosines = [
            (float(vector @ other) / float(np.linalg.norm(vector) * np.linalg.norm(other)), j)
            for j, other in enumerate(vectors)
            if j != i
        ]
        nearest = [j for _, j in sorted(cosines, reverse=True)[:k]]
        scores.append(sum(labels[j] == labels[i] for j in nearest) / min(k, same))
    return scores


@pytest.mark.parametrize("k", [1, 3, 10, 500])
def test_recall_is_what_counting_by_hand_gives(k: int) -> None:
    generator = np.random.default_rng(k)
    vectors = generator.normal(size=(60, 5)).astype(np.float32) * generator.uniform(0.1, 9, (60, 1)).astype(np.float32)
    labels = [*generator.choice(list("abcd"), 58), "only one", "alone"]
    scores = parse_metric(f"recall@{k}").score(vectors, np.array(labels))
    np.testing.assert_allclose(scores, recall_by_hand(vectors, labels, k))
    assert len(scores) == 58


def test_recall_is_the_same_when_it_is_computed_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    vectors, labels = generator.normal(size=(50, 4)).astype(np.float32), generator.integers(0, 5, 50)
    whole = parse_metric("recall@3").score(vectors, labels)
    monkeypatch.setattr("optimizers.accuracy.metrics._CHUNK_ROWS", 7)
    np.testing.assert_array_equal(parse_metric("recall@3").score(vectors, labels), whole)


def test_accuracy_takes_scores_or_classes() -> None:
    metric = parse_metric("accuracy")
    labels = np.array([1, 0, 2])
    assert metric.score(np.array([[0.1, 0.9, 0], [0.2, 0.7, 0.1], [0, 0, 1]], np.float32), labels).tolist() == [1, 0, 1]
    assert metric.score(np.array([1, 0, 1], np.float32), labels).tolist() == [1, 1, 0]
    assert metric.score(np.array([[1], [0], [1]], np.float32), labels).tolist() == [1, 1, 0]


def test_absolute_error_is_negated_so_that_higher_is_better() -> None:
    metric = parse_metric("mean_absolute_error")
    assert metric.score(np.array([[1.0], [5.0]], np.float32), np.array([2.0, 2.0])).tolist() == [-1, -3]
    assert metric.score(np.array([[1.0, 2.0]], np.float32), np.array([[2.0, 5.0]])).tolist() == [-2]


@pytest.mark.parametrize("text", ["recal", "f1", "", "recall@", "recall@0", "recall@x", "accuracy@3", "recall@-1"])
def test_a_metric_that_does_not_exist_is_answered_with_those_that_do(text: str) -> None:
    if text == "recall@":
        assert parse_metric(text).name == "recall@10"
        return
    with pytest.raises(StudyInputError, match="recall@K, accuracy, mean_absolute_error"):
        parse_metric(text)


@pytest.mark.parametrize(
    ("metric", "shape"), [("recall@3", (4,)), ("accuracy", (4, 2, 2)), ("mean_absolute_error", (4, 3))]
)
def test_answers_that_do_not_fit_the_metric_are_refused(metric: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(StudyInputError, match="answers"):
        parse_metric(metric).score(np.zeros(shape, np.float32), np.zeros(4, np.int64))
