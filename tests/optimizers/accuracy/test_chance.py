from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from optimizers.accuracy.chance import chance_note
from optimizers.accuracy.compare import assess
from optimizers.accuracy.metrics import METRIC_NAMES, parse_metric
from optimizers.accuracy.reading import choose_reading

GENERATOR = np.random.default_rng(0)
LABELS = (GENERATOR.random(500) < 0.2).astype(np.int64)
KNOWS = np.clip(LABELS * 0.6 + GENERATOR.random(500) * 0.39, 0.01, 0.99)
NUMBERS = GENERATOR.normal(size=500)


def note(name: str, answers: Any, labels: Any) -> str | None:
    metric = parse_metric(name)
    reading = choose_reading(answers, labels, metric)
    return chance_note(assess(answers, labels, metric, reading).value, labels, metric, reading)


@pytest.mark.parametrize(
    ("name", "answers", "labels"),
    [
        ("accuracy", np.zeros(500, np.int64), LABELS),
        ("balanced_accuracy", np.zeros(500, np.int64), LABELS),
        ("matthews_corrcoef", np.zeros(500, np.int64), LABELS),
        ("roc_auc", np.full(500, 0.3), LABELS),
        ("f1", np.ones(500, np.int64), LABELS),
        ("f1", np.zeros(500, np.int64), LABELS),
        ("jaccard", np.ones(500, np.int64), LABELS),
        ("average_precision", np.full(500, 0.3), LABELS),
        ("log_loss", np.full(500, 0.5), LABELS),
        ("brier_score", np.full(500, 0.5), LABELS),
        ("r2", np.zeros(500), NUMBERS),
        ("mae", np.zeros(500) + 0.5, NUMBERS),
        ("rmse", np.zeros(500) + 0.5, NUMBERS),
        ("recall@5", GENERATOR.normal(size=(500, 4)), LABELS),
        ("wer", np.array(["", "x y"]), np.array(["a b", "c d"])),
    ],
)
def test_baseline_at_chance_level_is_reported(name: str, answers: Any, labels: Any) -> None:
    found = note(name, answers, labels)
    assert found is not None
    assert "is at chance level" in found


@pytest.mark.parametrize(
    ("name", "answers", "labels"),
    [
        ("accuracy", KNOWS, LABELS),
        ("balanced_accuracy", KNOWS, LABELS),
        ("roc_auc", KNOWS, LABELS),
        ("f1", KNOWS, LABELS),
        ("average_precision", KNOWS, LABELS),
        ("log_loss", KNOWS, LABELS),
        ("brier_score", KNOWS, LABELS),
        ("r2", NUMBERS * 0.9, NUMBERS),
        ("mae", NUMBERS * 0.9, NUMBERS),
        ("recall@5", np.eye(2)[LABELS] + GENERATOR.normal(size=(500, 2)) * 0.05, LABELS),
        ("wer", np.array(["a b", "c e"]), np.array(["a b", "c d"])),
        ("agreement", LABELS, None),
    ],
)
def test_baseline_above_chance_level_is_not_reported(name: str, answers: Any, labels: Any) -> None:
    assert note(name, answers, labels) is None


# A baseline at chance level is not reported for these: which trivial model is best depends on the average.
AVERAGED = {
    *(f"{name}_{mean}" for name in ("f1", "precision", "recall", "jaccard") for mean in ("macro", "micro", "weighted")),
    "precision",
    "recall",
    "mean_absolute_percentage_error",
}
UNLABELED = ("module:function", "wer", "cer", "agreement")
LABELED = [name for name in METRIC_NAMES if "@" not in name and name not in UNLABELED]


@pytest.mark.parametrize("name", LABELED)
def test_every_metric_has_a_trivial_model_or_is_listed_without(name: str) -> None:
    best = {
        "classes": [np.zeros(500, np.int64), np.ones(500, np.int64), np.roll(LABELS, 1)],
        "ranking": [np.full(500, 0.3)],
        "probabilities": [np.full(500, LABELS.mean())],
        "regression": [np.full(500, NUMBERS.mean()), np.full(500, np.median(NUMBERS))],
    }
    family = parse_metric(name).family
    labels = NUMBERS if family == "regression" else LABELS
    notes = [note(name, answers, labels) for answers in best[family]]
    assert any(found is not None for found in notes) == (name not in AVERAGED)
