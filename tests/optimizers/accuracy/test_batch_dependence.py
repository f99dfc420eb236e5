from __future__ import annotations

import numpy as np
import pytest

from optimizers.accuracy.batch_dependence import batch_dependence, batch_dependence_min_cosine, flip_share
from optimizers.accuracy.outputs import OutputReading


def test_measure_of_vectors_is_the_least_cosine() -> None:
    alone = np.array([[1, 0], [0, 2], [0, 0]], np.float32)
    company = np.array([[2, 0], [1, 1], [0, 0]], np.float32)
    assert batch_dependence(OutputReading("vector"), alone, alone).amount == pytest.approx(0.0)
    found = batch_dependence(OutputReading("vector"), alone, company)
    assert (found.measure, found.value) == ("least cosine", pytest.approx(np.sqrt(0.5)))
    assert batch_dependence_min_cosine(np.array([1.0]), np.array([3.0])) < 1


def test_flip_share_covers_classes_labels_and_texts() -> None:
    probability = OutputReading("probability", classes=(0, 1), threshold=0.5)
    assert flip_share(probability, np.array([0.1, 0.6, 0.9, 0.2]), np.array([0.2, 0.4, 0.8, 0.3])) == 0.25
    assert flip_share(OutputReading("text"), np.array(["a", "b"]), np.array(["a", "c"])) == 0.5
    sentences = np.array(["the court will rise", "you may sit down now"])
    assert flip_share(OutputReading("text"), sentences, np.array(["the court will rice", "we the people of"])) == 0.5
    raw = [{"text": "you may sit down", "score": 0.5, "label": "a"}, {"text": "no", "score": 0.5, "label": "b"}]
    other = [{"text": "you may sit here", "score": 0.6, "label": "a"}, {"text": "no", "score": 0.5, "label": "a"}]
    assert flip_share(OutputReading("raw"), raw, other) == 0.5
    labels = OutputReading("multilabel")
    assert flip_share(labels, np.array([[0, 0], [1, 1]]), np.array([[0, 1], [1, 1]])) == 0.5
    assert flip_share(OutputReading("score"), np.array([1.0]), np.array([2.0])) == 0.0


@pytest.mark.parametrize(
    ("reading", "alone", "company", "measure", "value"),
    [
        (OutputReading("classes"), np.array([1, 2, 3, 4]), np.array([1, 2, 3, 5]), "share of changed answers", 0.25),
        (OutputReading("text"), np.array(["a", "b"]), np.array(["a", "c"]), "share of changed answers", 0.5),
        (
            OutputReading("multilabel"),
            np.array([[0, 0], [1, 1]]),
            np.array([[0, 1], [1, 1]]),
            "share of changed answers",
            0.5,
        ),
        (OutputReading("raw"), [{"a": 1}, None], [{"a": 1}, [2]], "share of changed answers", 0.5),
        (OutputReading("probability"), np.array([0.2, 0.9]), np.array([0.2, 0.6]), "largest change", 0.3),
        (OutputReading("score"), np.array([0.0, 10.0]), np.array([0.0, 12.0]), "largest change", 0.4),
        (OutputReading("score"), np.array([5.0, 5.0]), np.array([5.0, 6.0]), "largest change", 1.0),
    ],
)
def test_measure_of_other_outputs_is_the_changed_share_or_largest_change(
    reading: OutputReading, alone: object, company: object, measure: str, value: float
) -> None:
    found = batch_dependence(reading, alone, company)
    assert (found.measure, found.value) == (measure, pytest.approx(value))
    assert batch_dependence(reading, alone, alone).amount == 0
