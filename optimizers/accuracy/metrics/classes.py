"""Metrics of predicted classes and labels, with scikit-learn's names and values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ...errors import StudyInputError
from ..outputs import MULTILABEL, OutputReading, predicted
from ._base import Metric, Pooled, Scores, encode, require_extra

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LABEL_KINDS = "biufUS"
_STEP = 1e-4
Statistic = Callable[["ClassCounts"], float]
Counter = Callable[["NDArray[np.int64]"], "ClassCounts"]


@dataclass(frozen=True, slots=True)
class ClassCounts:
    """Sample counts by class, each `(classes,)`: right answers, samples with the label, samples answered so."""

    right: NDArray[np.float64]
    labelled: NDArray[np.float64]
    called: NDArray[np.float64]
    is_multilabel: bool = False


def _accuracy(answers: NDArray[Any], labels: NDArray[Any], reading: OutputReading) -> Scores:
    import numpy as np

    is_right = predicted(reading, answers) == labels
    values = (is_right.all(axis=1) if is_right.ndim > 1 else is_right).astype(np.float64)
    return Scores(values, 0.0, float(values.mean()), is_binary=True)


def _pooled(
    answers: NDArray[Any],
    labels: NDArray[Any],
    reading: OutputReading,
    *,
    name: str,
    average: str,
    statistic: Statistic,
) -> Pooled:
    import numpy as np

    chosen = predicted(reading, answers)
    if reading.kind in MULTILABEL:
        if average == "binary":
            raise StudyInputError(f"{name} of several labels needs an average: use {name}_macro or {name}_micro.")
        if average == "none":
            raise StudyInputError(f"{name} needs one class per sample, not several labels: use f1_macro or accuracy.")
        count = _counter_of_labels(labels, chosen)
    elif average == "binary":
        positive = _positive_class(name, reading)
        count = _counter_of_labels((labels == positive)[:, None], (chosen == positive)[:, None])
    else:
        count = _counter_of_classes(labels, chosen)
    n = len(labels)
    value = _reference(name, average, labels, chosen, reading)
    loss = _steepest(statistic, count(np.ones(n, dtype=np.int64)), n)
    return Pooled(n, value, lambda counts: statistic(count(counts)), loss)


def _counter_of_labels(labels: NDArray[Any], chosen: NDArray[Any]) -> Counter:
    import numpy as np

    table = np.hstack([labels & chosen, labels, chosen]).astype(np.float64)

    def count(counts: NDArray[np.int64]) -> ClassCounts:
        right, labelled, called = np.split(counts @ table, 3)
        return ClassCounts(right, labelled, called, is_multilabel=True)

    return count


def _counter_of_classes(labels: NDArray[Any], chosen: NDArray[Any]) -> Counter:
    import numpy as np

    codes, called_codes, classes = encode(labels, chosen)
    is_right, width = codes == called_codes, len(classes)

    def count(counts: NDArray[np.int64]) -> ClassCounts:
        weights = counts.astype(np.float64)
        return ClassCounts(
            right=np.bincount(codes, weights=weights * is_right, minlength=width).astype(np.float64),
            labelled=np.bincount(codes, weights=weights, minlength=width).astype(np.float64),
            called=np.bincount(called_codes, weights=weights, minlength=width).astype(np.float64),
        )

    return count


def _positive_class(name: str, reading: OutputReading) -> Any:
    if len(reading.classes) > 2:
        raise StudyInputError(
            f"{name} compares two classes, but the labels have {len(reading.classes)}: use {name}_macro, {name}_micro "
            f"or {name}_weighted."
        )
    if len(reading.classes) < 2:
        raise StudyInputError(
            f"{name} compares two classes, but all labels are {reading.classes[0]!r}: give samples of both classes."
        )
    return reading.classes[-1]


def _steepest(statistic: Statistic, counts: ClassCounts, n: int) -> float:
    """Return the steepest slope of the statistic's fall with the share of samples that turn wrong."""
    import numpy as np

    step = _STEP * n
    start = statistic(counts)
    lost = np.zeros(len(counts.right))  # a right sample of the class is no longer answered with the class
    added = np.zeros(len(counts.right))  # a sample of another class is answered with the class
    for column in range(len(lost)):
        move = np.zeros(len(lost))
        move[column] = min(step, float(counts.right[column]))
        if move[column]:
            moved = replace(counts, right=counts.right - move, called=counts.called - move)
            lost[column] = (start - statistic(moved)) / move[column] * n
        move[column] = step
        added[column] = (start - statistic(replace(counts, called=counts.called + move))) / step * n
    if counts.is_multilabel:
        return float(np.maximum(np.maximum(lost, added), 0).sum())
    return max(float(lost.max()), 0.0) + max(float(added.max()), 0.0)


def _ratio(top: Any, bottom: Any) -> Any:
    import numpy as np

    return np.divide(top, bottom, out=np.zeros_like(np.asarray(top, dtype=np.float64)), where=np.asarray(bottom) > 0)


def _averaged(ratio: Callable[[Any, Any, Any], Any], average: str) -> Statistic:
    import numpy as np

    def statistic(counts: ClassCounts) -> float:
        right, labelled, called = counts.right, counts.labelled, counts.called
        if average == "micro":
            return float(ratio(*(np.atleast_1d(part.sum()) for part in (right, labelled, called)))[0])
        each = ratio(right, labelled, called)
        if average == "weighted":
            return float(each @ labelled / labelled.sum()) if labelled.sum() else 0.0
        is_there = (labelled + called > 0) | counts.is_multilabel
        return float(each[is_there].mean()) if is_there.any() else 0.0

    return statistic


def _f1(right: Any, labelled: Any, called: Any) -> Any:
    return _ratio(2 * right, labelled + called)


def _precision(right: Any, _labelled: Any, called: Any) -> Any:
    return _ratio(right, called)


def _recall(right: Any, labelled: Any, _called: Any) -> Any:
    return _ratio(right, labelled)


def _jaccard(right: Any, labelled: Any, called: Any) -> Any:
    return _ratio(right, labelled + called - right)


def _balanced_accuracy(counts: ClassCounts) -> float:
    is_there = counts.labelled > 0
    return float((counts.right[is_there] / counts.labelled[is_there]).mean())


def _matthews(counts: ClassCounts) -> float:
    n, chance = counts.labelled.sum(), counts.labelled @ counts.called
    spread = (n**2 - counts.labelled @ counts.labelled) * (n**2 - counts.called @ counts.called)
    return float((counts.right.sum() * n - chance) / spread**0.5) if spread > 0 else 0.0


def _kappa(counts: ClassCounts) -> float:
    n = counts.labelled.sum()
    chance = counts.labelled @ counts.called / n**2
    return float((counts.right.sum() / n - chance) / (1 - chance)) if chance < 1 else float("nan")


def _reference(name: str, average: str, labels: Any, chosen: Any, reading: OutputReading) -> float:
    """Return scikit-learn's own value for all samples, without its warnings about absent classes."""
    import warnings

    import sklearn.metrics as library

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _library_value(library, name, average, labels, chosen, reading)


def _library_value(library: Any, name: str, average: str, labels: Any, chosen: Any, reading: OutputReading) -> float:
    if average == "none":
        by_name = {
            "balanced_accuracy": library.balanced_accuracy_score,
            "matthews_corrcoef": library.matthews_corrcoef,
            "cohen_kappa": library.cohen_kappa_score,
        }
        return float(by_name[name](labels, chosen))
    function = getattr(library, f"{name}_score")
    options: dict[str, Any] = {"average": average, "zero_division": 0}
    if average == "binary":
        positive = _positive_class(name, reading)
        return float(function(labels == positive, chosen == positive, **options))
    return float(function(labels.astype(int) if labels.dtype.kind == "b" else labels, chosen, **options))


def _make(name: str, printed: str, average: str, statistic: Statistic) -> Metric:
    require_extra("sklearn", printed)
    evaluate = partial(_pooled, name=name, average=average, statistic=statistic)
    return Metric(printed, "classes", True, LABEL_KINDS, evaluate)


_BY_RATIO = {"f1": _f1, "precision": _precision, "recall": _recall, "jaccard": _jaccard}
BINARY_NAMES = frozenset(_BY_RATIO)


def _families() -> dict[str, Callable[[], Metric]]:
    made: dict[str, Callable[[], Metric]] = {
        "accuracy": lambda: Metric("accuracy", "classes", True, LABEL_KINDS, _accuracy),
        "balanced_accuracy": partial(_make, "balanced_accuracy", "balanced_accuracy", "none", _balanced_accuracy),
        "matthews_corrcoef": partial(_make, "matthews_corrcoef", "matthews_corrcoef", "none", _matthews),
        "cohen_kappa": partial(_make, "cohen_kappa", "cohen_kappa", "none", _kappa),
    }
    for name, ratio in _BY_RATIO.items():
        made[name] = partial(_make, name, name, "binary", _averaged(ratio, "macro"))
        for average in ("macro", "micro", "weighted"):
            printed = f"{name}_{average}"
            made[printed] = partial(_make, name, printed, average, _averaged(ratio, average))
    return made


METRICS = _families()
