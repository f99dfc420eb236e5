"""Metrics of the order of scores, with scikit-learn's names and values."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ...errors import StudyInputError
from ..outputs import BY_COLUMN, MULTILABEL, OutputReading
from ._base import UNSEEN_SAMPLES, Metric, Pooled, require_extra, softmax
from .classes import LABEL_KINDS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Ranked = Callable[["NDArray[np.float64]"], float]


def _auc_of(is_positive: NDArray[Any], scores: NDArray[Any]) -> Ranked:
    """Return a function that computes ROC AUC by counts; scores are sorted once for all resamples."""
    import numpy as np

    order, ties = _ranking(scores)
    positives = is_positive[order].astype(np.float64)

    def auc(counts: NDArray[np.float64]) -> float:
        weights = counts[order]
        positive = np.add.reduceat(weights * positives, ties)
        negative = np.add.reduceat(weights * (1 - positives), ties)
        below = np.cumsum(negative)
        pairs = positive.sum() * below[-1]
        return float(positive @ (below - negative / 2) / pairs) if pairs else math.nan

    return auc


def _average_precision_of(is_positive: NDArray[Any], scores: NDArray[Any]) -> Ranked:
    """Return a function that computes average precision by counts.

    Average precision is the mean, over the positives, of the precision down to each positive's score.
    """
    import numpy as np

    order, ties = _ranking(-scores)
    positives = is_positive[order].astype(np.float64)

    def average_precision(counts: NDArray[np.float64]) -> float:
        weights = counts[order]
        positive = np.add.reduceat(weights * positives, ties)
        found, seen = np.cumsum(positive), np.cumsum(np.add.reduceat(weights, ties))
        if not found[-1]:
            return math.nan
        return float(positive @ (found / np.maximum(seen, 1.0)) / found[-1])

    return average_precision


def _ranking(scores: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    import numpy as np

    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    return order, np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))


def _evaluate(
    answers: NDArray[Any], labels: NDArray[Any], reading: OutputReading, *, name: str, average: str
) -> Pooled:
    import numpy as np

    columns, scores, target = _columns(answers, labels, reading, name, average)
    make = _average_precision_of if name == "average_precision" else _auc_of
    parts = [make(is_positive, score) for is_positive, score in columns]

    def score(counts: NDArray[np.int64]) -> float:
        weights = counts.astype(np.float64)
        return sum(part(weights) for part in parts) / len(parts)

    shares = [float(is_positive.mean()) for is_positive, _ in columns]
    if any(share in (0.0, 1.0) for share in shares):
        raise StudyInputError(
            f"{name} needs samples of both classes, but a class has none or all of the {len(labels)} samples: give "
            "samples of both."
        )
    loss = _worst_loss(shares, len(labels), name == "average_precision", reading.kind in MULTILABEL)
    return Pooled(len(labels), _reference(name, target, scores, reading), score, loss)


def _columns(
    answers: NDArray[Any], labels: NDArray[Any], reading: OutputReading, name: str, average: str
) -> tuple[list[tuple[NDArray[Any], NDArray[Any]]], NDArray[Any], NDArray[Any]]:
    """Return for each class its samples and the scores; and the scores and labels for scikit-learn."""
    if reading.kind in MULTILABEL:
        truth = labels.astype(bool)
        return [(truth[:, at], answers[:, at]) for at in range(truth.shape[1])], answers, truth
    if reading.kind in BY_COLUMN and (average == "ovr" or (len(reading.classes) > 2 and name == "average_precision")):
        scores = softmax(answers) if reading.kind == "logits" else answers
        each = [(labels == value, scores[:, at]) for at, value in enumerate(reading.classes)]
        return each, scores, labels
    if len(reading.classes) > 2:
        raise StudyInputError(
            f"{name} compares two classes, but the labels have {len(reading.classes)}: use roc_auc_ovr with a "
            "probability for each class."
        )
    scores = answers[:, 1] - answers[:, 0] if reading.kind in BY_COLUMN else answers
    is_positive = labels == reading.classes[-1]
    return [(is_positive, scores)], scores, is_positive


def _worst_loss(shares: Sequence[float], n: int, is_average_precision: bool, is_multilabel: bool) -> float:
    """Return the loss of the statistic per share of failing samples; all failing samples may belong to one class.

    A few negatives at the top of the ranking cost average precision more than their share: m negatives leave the i-th
    of P positives a precision of at most i / (i + m), a loss of about m / P * (1 + ln(P / m)).
    """
    losses = []
    for share in shares:
        slope = 1 / share if is_average_precision else 1 / min(share, 1 - share)
        losses.append(slope * (1 + math.log(max(1.0, share * n / UNSEEN_SAMPLES))) if is_average_precision else slope)
    if is_multilabel or len(shares) == 1:
        return sum(losses) / len(losses)
    others = [1 / (1 - share) for share in shares]
    if is_average_precision:
        return sum(losses) / len(losses)
    return max(loss + sum(others) - other for loss, other in zip(losses, others, strict=True)) / len(losses)


def _reference(name: str, target: NDArray[Any], scores: NDArray[Any], reading: OutputReading) -> float:
    import numpy as np
    import sklearn.metrics as library

    if name == "average_precision":
        if target.ndim == 1 and scores.ndim == 2:
            target = target[:, None] == np.array(reading.classes)
        return float(library.average_precision_score(target, scores))
    if target.ndim == 1 and scores.ndim == 2:
        each = [library.roc_auc_score(target == value, scores[:, at]) for at, value in enumerate(reading.classes)]
        return float(np.mean(each))
    return float(library.roc_auc_score(target, scores))


def _make(name: str, average: str) -> Metric:
    printed = f"{name}_{average}" if average else name
    require_extra("sklearn", printed)
    evaluate = partial(_evaluate, name=name, average=average)
    return Metric(printed, "ranking", True, LABEL_KINDS, evaluate)


METRICS: dict[str, Callable[[], Metric]] = {
    "roc_auc": partial(_make, "roc_auc", ""),
    "roc_auc_ovr": partial(_make, "roc_auc", "ovr"),
    "average_precision": partial(_make, "average_precision", ""),
}
