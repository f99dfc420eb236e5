from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jiwer
import numpy as np
import pytest
import sklearn
import sklearn.metrics as library
from packaging.version import Version

from optimizers.accuracy.answers import take
from optimizers.accuracy.metrics import Pooled, parse_metric
from optimizers.accuracy.outputs import OutputReading, read
from optimizers.accuracy.reading import choose_reading, read_labels
from optimizers.errors import StudyInputError

N = 240


def evaluated(name: str, answers: Any, labels: Any, asked: str | None = None) -> Any:
    metric = parse_metric(name)
    reading = choose_reading(answers, labels, metric, asked)
    return metric.evaluate(read(reading, answers), read_labels(reading, labels, metric), reading)


def value_and_resample(name: str, answers: Any, labels: Any, seed: int) -> tuple[float, float, Any]:
    """Return the metric of all samples, the metric of a resample by counts, and the rows of the resample."""
    metric = parse_metric(name)
    found = evaluated(name, answers, labels)
    rows = np.random.default_rng(seed).integers(0, len(labels), len(labels))
    if isinstance(found, Pooled):
        resampled = found.score(np.bincount(rows, minlength=len(labels)))
        whole = found.score(np.ones(len(labels), dtype=np.int64))
    else:
        resampled, whole = float(found.values[rows].mean()), float(found.values.mean())
    sign = 1 if metric.is_higher_better else -1
    assert sign * whole == pytest.approx(found.value)
    return found.value, sign * resampled, rows


def two_classes(seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = (generator.random(N) < 0.3).astype(np.int64)
    return np.round(np.clip(labels * 0.3 + generator.random(N) * 0.7, 0.01, 0.99), 2), labels


def several_classes(seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.choice(4, N, p=[0.5, 0.3, 0.15, 0.05])
    logits = generator.normal(size=(N, 4)) + 1.5 * np.eye(4)[labels]
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), labels


def several_labels(seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = (generator.random((N, 5)) < 0.25).astype(np.int64)
    return np.clip(labels * 0.4 + generator.random((N, 5)) * 0.6, 0, 1), labels


BINARY: dict[str, Callable[[Any, Any], float]] = {
    "accuracy": lambda y, p: library.accuracy_score(y, p >= 0.5),
    "balanced_accuracy": lambda y, p: library.balanced_accuracy_score(y, p >= 0.5),
    "f1": lambda y, p: library.f1_score(y, p >= 0.5),
    "precision": lambda y, p: library.precision_score(y, p >= 0.5),
    "recall": lambda y, p: library.recall_score(y, p >= 0.5),
    "jaccard": lambda y, p: library.jaccard_score(y, p >= 0.5),
    "f1_macro": lambda y, p: library.f1_score(y, p >= 0.5, average="macro"),
    "matthews_corrcoef": lambda y, p: library.matthews_corrcoef(y, p >= 0.5),
    "cohen_kappa": lambda y, p: library.cohen_kappa_score(y, p >= 0.5),
    "roc_auc": library.roc_auc_score,
    "average_precision": library.average_precision_score,
    "log_loss": library.log_loss,
    "brier_score": library.brier_score_loss,
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", BINARY)
def test_two_class_metrics_and_resamples_equal_scikit_learn(name: str, seed: int) -> None:
    probabilities, labels = two_classes(seed)
    value, resampled, rows = value_and_resample(name, probabilities, labels, seed)
    assert value == pytest.approx(BINARY[name](labels, probabilities))
    assert resampled == pytest.approx(BINARY[name](labels[rows], probabilities[rows]))


SEVERAL: dict[str, Callable[[Any, Any], float]] = {
    "accuracy": lambda y, p: library.accuracy_score(y, p.argmax(1)),
    "balanced_accuracy": lambda y, p: library.balanced_accuracy_score(y, p.argmax(1)),
    **{
        f"{name}_{average}": lambda y, p, name=name, average=average: getattr(library, f"{name}_score")(
            y, p.argmax(1), average=average, zero_division=0
        )
        for name in ("f1", "precision", "recall", "jaccard")
        for average in ("macro", "micro", "weighted")
    },
    "matthews_corrcoef": lambda y, p: library.matthews_corrcoef(y, p.argmax(1)),
    "cohen_kappa": lambda y, p: library.cohen_kappa_score(y, p.argmax(1)),
    "roc_auc_ovr": lambda y, p: library.roc_auc_score(y, p, multi_class="ovr"),
    "log_loss": library.log_loss,
    "brier_score": library.brier_score_loss,
    "average_precision": lambda y, p: library.average_precision_score(np.eye(4)[y], p),
}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", SEVERAL)
def test_multiclass_metrics_and_resamples_equal_scikit_learn(name: str, seed: int) -> None:
    if name == "brier_score" and Version(sklearn.__version__) < Version("1.7"):
        pytest.skip("scikit-learn has no Brier score of several classes before 1.7")
    probabilities, labels = several_classes(seed)
    value, resampled, rows = value_and_resample(name, probabilities, labels, seed)
    assert value == pytest.approx(SEVERAL[name](labels, probabilities))
    assert resampled == pytest.approx(SEVERAL[name](labels[rows], probabilities[rows]))


MULTILABEL: dict[str, Callable[[Any, Any], float]] = {
    "accuracy": lambda y, p: library.accuracy_score(y, p >= 0.5),
    **{
        f"{name}_{average}": lambda y, p, name=name, average=average: getattr(library, f"{name}_score")(
            y, p >= 0.5, average=average, zero_division=0
        )
        for name in ("f1", "precision", "recall", "jaccard")
        for average in ("macro", "micro", "weighted")
    },
    "roc_auc": library.roc_auc_score,
    "average_precision": library.average_precision_score,
}


@pytest.mark.parametrize("name", MULTILABEL)
def test_multilabel_metrics_with_rows_of_zeros_equal_scikit_learn(name: str) -> None:
    probabilities, labels = several_labels(5)
    assert (labels.sum(axis=1) == 0).any()
    value, resampled, rows = value_and_resample(name, probabilities, labels, 5)
    assert value == pytest.approx(MULTILABEL[name](labels, probabilities))
    assert resampled == pytest.approx(MULTILABEL[name](labels[rows], probabilities[rows]))


REGRESSION: dict[str, Callable[[Any, Any], float]] = {
    "mae": library.mean_absolute_error,
    "mse": library.mean_squared_error,
    "rmse": library.root_mean_squared_error,
    "mape": library.mean_absolute_percentage_error,
    "r2": library.r2_score,
}


@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize("name", REGRESSION)
def test_regression_metrics_and_resamples_equal_scikit_learn(name: str, columns: int) -> None:
    generator = np.random.default_rng(columns)
    labels = generator.uniform(5, 9, (N, columns))
    answers = labels + generator.normal(size=labels.shape) * 0.3
    value, resampled, rows = value_and_resample(name, answers, labels, 1)
    assert value == pytest.approx(REGRESSION[name](labels, answers))
    assert resampled == pytest.approx(REGRESSION[name](labels[rows], answers[rows]))


@pytest.mark.parametrize("name", ["mae", "mse", "rmse", "mape", "r2", "log_loss", "wer"])
def test_reported_value_is_not_capped_and_capped_scores_are_counted(name: str) -> None:
    labels: Any = np.array([0, 1, 0, 1] if name == "log_loss" else [1.0, 2.0, 3.0, 4.0])
    answers: Any = np.array([1.0, 1.0, 0.0, 0.5] if name == "log_loss" else [90.0, 2.0, 3.0, 4.0])
    if name == "wer":
        labels, answers = np.array(["a b", "c"]), np.array(["x y z t", "c"])
    references: dict[str, Any] = {**REGRESSION, "log_loss": library.log_loss, "wer": None}
    found = evaluated(name, answers, labels)
    assert found.capped == 1
    expected = jiwer.wer(labels.tolist(), answers.tolist()) if name == "wer" else references[name](labels, answers)
    assert found.value == pytest.approx(expected)
    if not isinstance(found, Pooled):
        assert (found.values >= found.least).all()


@pytest.mark.parametrize("name", ["wer", "cer"])
def test_text_error_rates_and_resamples_equal_jiwer(name: str) -> None:
    generator = np.random.default_rng(0)
    words = np.array(["one", "two", "three", "four", "Four", "a"])
    labels = np.array([" ".join(generator.choice(words, generator.integers(3, 9))) for _ in range(60)])
    answers = np.array([" ".join(word for word in label.split() if generator.random() > 0.2) for label in labels])
    function = {"wer": jiwer.wer, "cer": jiwer.cer}[name]
    value, resampled, rows = value_and_resample(name, answers, labels, 3)
    assert value == pytest.approx(function(labels.tolist(), answers.tolist()))
    assert resampled == pytest.approx(function(labels[rows].tolist(), answers[rows].tolist()))


@pytest.mark.parametrize("name", ["accuracy", "f1_macro", "balanced_accuracy"])
def test_string_labels_and_class_ids_give_the_same_value(name: str) -> None:
    probabilities, labels = several_classes(1)
    names = np.array(["ant", "bee", "cat", "dog"])
    chosen = probabilities.argmax(axis=1)
    values = [
        evaluated(name, chosen, labels).value,
        evaluated(name, chosen.astype(np.float32), labels).value,
        evaluated(name, names[chosen], names[labels]).value,
        evaluated(name, chosen, names[labels]).value,
        evaluated(name, probabilities, names[labels]).value,
        evaluated(name, chosen.astype(str), labels).value,
        evaluated(name, chosen[:, None], np.eye(4, dtype=np.int64)[labels]).value,
    ]
    assert values == pytest.approx([values[0]] * len(values))


@pytest.mark.parametrize("name", ["f1_macro", "precision_weighted", "matthews_corrcoef", "jaccard_micro"])
def test_answered_class_without_labels_counts_as_in_scikit_learn(name: str) -> None:
    labels, answers = np.array([0, 1, 0, 1, 0, 1]), np.array([0, 1, 7, 1, 0, 0])
    function = getattr(library, {"matthews_corrcoef": name}.get(name, f"{name.split('_', maxsplit=1)[0]}_score"))
    options = {} if name == "matthews_corrcoef" else {"average": name.split("_")[1], "zero_division": 0}
    assert evaluated(name, answers, labels).value == pytest.approx(function(labels, answers, **options))


def test_largest_loss_bounds_the_cost_of_one_more_wrong_sample() -> None:
    probabilities, labels = two_classes(0)
    answers = (probabilities >= 0.5).astype(np.int64)
    for name in ("f1", "balanced_accuracy", "matthews_corrcoef", "precision", "recall_macro"):
        found = evaluated(name, answers, labels)
        for label in (0, 1):
            row = int(np.flatnonzero((labels == label) & (answers == label))[0])
            worse = answers.copy()
            worse[row] = 1 - label
            assert found.value - evaluated(name, worse, labels).value <= found.largest_loss / N * 1.05


def test_two_class_metric_refuses_other_class_counts_and_names_alternatives() -> None:
    probabilities, labels = several_classes(0)
    with pytest.raises(StudyInputError, match="f1_macro"):
        evaluated("f1", probabilities, labels)
    with pytest.raises(StudyInputError, match="roc_auc_ovr"):
        evaluated("roc_auc", probabilities, labels)
    with pytest.raises(StudyInputError, match="both classes"):
        evaluated("roc_auc", np.array([0.1, 0.4]), np.array([1, 1]))


def test_agreement_depends_on_the_kind_of_output() -> None:
    metric = parse_metric("agreement")
    for baseline, other, expected in (
        (np.array([1, 2, 3, 4]), np.array([1, 2, 3, 9]), 0.75),
        (np.array(["a", "b"]), np.array(["a", "c"]), 0.5),
        (np.eye(2), np.array([[1.0, 0.0], [0.6, 0.4]]), 0.5),
        (np.array([[0, 0], [1, 1], [0, 1]]), np.array([[0, 0], [1, 0], [0, 1]]), 2 / 3),
        (np.array([0.5, 2.5, 0.5, 2.5]), np.array([1.0, 2.5, 0.5, 9.0]), (0.5 + 1 + 1 + 0) / 4),
    ):
        reading = choose_reading(baseline, None, metric)
        found = metric.evaluate(read(reading, other), read(reading, baseline), reading)
        assert found.value == pytest.approx(expected), reading


def test_take_selects_rows_of_arrays_and_lists() -> None:
    rows = np.array([2, 0])
    assert take(np.array([5, 6, 7]), rows).tolist() == take([5, 6, 7], rows) == [7, 5]


def test_constant_answer_has_low_agreement_despite_aligned_vectors_or_outliers() -> None:
    metric = parse_metric("agreement")
    generator = np.random.default_rng(0)
    vectors = 20 + generator.normal(size=(300, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    mean = np.repeat(vectors.mean(axis=0, keepdims=True), 300, axis=0)
    assert metric.evaluate(mean, vectors, OutputReading("vector")).value < 0.2
    near = vectors + generator.normal(size=vectors.shape) * 1e-4
    assert metric.evaluate(near, vectors, OutputReading("vector")).value > 0.999
    scores = generator.normal(size=1000)
    scores[0] = 1e5
    flat = np.where(scores == 1e5, scores, 0.0)
    assert metric.evaluate(flat, scores, OutputReading("score")).value < 0.6
    assert metric.evaluate(scores * 1.001, scores, OutputReading("score")).value > 0.99
