from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from optimizers.accuracy.metrics import parse_metric
from optimizers.accuracy.outputs import OutputReading
from optimizers.errors import StudyInputError

VECTOR = OutputReading("vector")


def evaluated(name: str, vectors: np.ndarray, labels: Any) -> Any:
    return parse_metric(name).evaluate(vectors, np.array(labels), VECTOR)


def by_hand(vectors: np.ndarray, labels: list[str], k: int, *, discounts: bool) -> list[float]:
    scores = []
    gains = [1 / math.log2(place + 2) if discounts else 1.0 for place in range(k)]
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
        gained = sum(gain for gain, j in zip(gains, nearest, strict=False) if labels[j] == labels[i])
        scores.append(gained / sum(gains[: min(k, same)]))
    return scores


@pytest.mark.parametrize("k", [1, 3, 10, 500])
@pytest.mark.parametrize("name", ["recall", "ndcg"])
def test_value_equals_a_direct_computation(name: str, k: int) -> None:
    generator = np.random.default_rng(k)
    vectors = generator.normal(size=(60, 5)).astype(np.float32) * generator.uniform(0.1, 9, (60, 1)).astype(np.float32)
    labels = [*generator.choice(list("abcd"), 58), "only one", "alone"]
    expected = by_hand(vectors, labels, k, discounts=name == "ndcg")
    assert evaluated(f"{name}@{k}", vectors, labels).value == pytest.approx(np.mean(expected))


def test_chunked_computation_gives_the_same_value(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    vectors, labels = generator.normal(size=(50, 4)).astype(np.float32), generator.integers(0, 5, 50)
    whole = evaluated("recall@3", vectors, labels).value
    monkeypatch.setattr("optimizers.accuracy.metrics.retrieval._CHUNK_ROWS", 7)
    assert evaluated("recall@3", vectors, labels).value == whole


def test_resample_does_not_count_copies_of_a_sample_as_its_neighbors() -> None:
    generator = np.random.default_rng(1)
    vectors, labels = generator.normal(size=(40, 4)).astype(np.float32), generator.integers(0, 3, 40)
    counts = np.bincount(generator.integers(0, 40, 40), minlength=40)
    found = evaluated("recall@3", vectors, labels).score(counts)
    total, weight = 0.0, 0
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for i in np.flatnonzero(counts):
        others = [j for j in range(40) for _ in range(counts[j]) if j != i]
        nearest = sorted(others, key=lambda j, i=i: -float(unit[i] @ unit[j]))[:3]
        same = sum(labels[j] == labels[i] for j in others)
        total += counts[i] * sum(labels[j] == labels[i] for j in nearest) / min(3, same)
        weight += counts[i]
    assert found == pytest.approx(total / weight)


def test_data_without_two_equal_labels_are_refused() -> None:
    with pytest.raises(StudyInputError, match="No sample can be scored"):
        evaluated("recall@10", np.ones((2, 3), np.float32), [0, 1])
