"""What an answer is worth: each metric gives a score for each sample, and higher is better."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import StudyInputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_CHUNK_ROWS = 1024
_DEFAULT_NEIGHBOURS = 10
Scores = Callable[["NDArray[np.float32]", "NDArray[Any]"], "NDArray[np.float64]"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric by its name; `label_kinds` are the numpy kinds of labels that it takes.

    `score(outputs, labels)` gives one score a sample; which samples are left out depends on the labels alone, so that
    the scores of two models on the same data are pairs.
    """

    name: str
    score: Scores
    label_kinds: str


def recall_at(k: int) -> Scores:
    """recall@k: the share of a sample's k nearest others that carry its label.

    Nearest by cosine of the outputs `(n, d)`, the sample itself left out; over `min(k, samples of the label - 1)`, so
    that the best is 1. Samples whose label nothing else carries have no score.
    """

    def score(outputs: NDArray[np.float32], labels: NDArray[Any]) -> NDArray[np.float64]:
        import numpy as np

        _require_axes("recall", outputs, 2)
        vectors = outputs.astype(np.float32)
        vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        _, codes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
        others = sizes[codes] - 1
        nearest_count = min(k, len(vectors) - 1)
        hits = np.empty(len(vectors), dtype=np.int64)
        for start in range(0, len(vectors), _CHUNK_ROWS):
            rows = np.arange(start, min(start + _CHUNK_ROWS, len(vectors)))
            cosines = vectors[rows] @ vectors.T
            cosines[np.arange(len(rows)), rows] = -np.inf
            nearest = np.argpartition(-cosines, nearest_count - 1, axis=1)[:, :nearest_count]
            hits[rows] = (codes[nearest] == codes[rows, None]).sum(axis=1)
        scored = others > 0
        scores: NDArray[np.float64] = hits[scored] / np.minimum(k, others[scored])
        return scores

    return score


def accuracy(outputs: NDArray[np.float32], labels: NDArray[Any]) -> NDArray[np.float64]:
    """1 for a right class, 0 for a wrong one; outputs are scores `(n, classes)` or class numbers `(n,)`."""
    import numpy as np

    if outputs.ndim == 2 and outputs.shape[1] > 1:
        classes = outputs.argmax(axis=1)
    elif outputs.size == labels.size:
        classes = outputs.reshape(labels.shape).astype(np.int64)
    else:
        raise StudyInputError(
            f"accuracy needs a class, or a score for each class, but the answers are {outputs.shape}."
        )
    return np.asarray(classes == labels.astype(np.int64), dtype=np.float64)


def negative_absolute_error(outputs: NDArray[np.float32], labels: NDArray[Any]) -> NDArray[np.float64]:
    """Minus the absolute error, the mean over a sample's outputs; outputs and labels are of one shape."""
    import numpy as np

    if outputs.size != labels.size:
        raise StudyInputError(
            f"mean_absolute_error: the answers have the shape {outputs.shape} and the labels {labels.shape}; "
            "both must have as many numbers for each sample."
        )
    errors = np.abs(outputs.astype(np.float64).reshape(labels.shape) - labels.astype(np.float64))
    scores: NDArray[np.float64] = -errors.reshape(len(labels), -1).mean(axis=1)
    return scores


def parse_metric(text: str) -> Metric:
    """The metric that a person named: `recall@10`, `accuracy`, `mean_absolute_error`.

    Raises:
        StudyInputError: there is none of that name.
    """
    name, _, parameter = text.strip().partition("@")
    make = METRICS.get(name)
    if make is None or (parameter and (name != "recall" or not parameter.isdigit() or int(parameter) < 1)):
        raise StudyInputError(f"There is no metric {text!r}: use one of {', '.join(METRIC_NAMES)} (K a whole number).")
    return make(int(parameter) if parameter else _DEFAULT_NEIGHBOURS)


METRICS: dict[str, Callable[[int], Metric]] = {
    "recall": lambda k: Metric(f"recall@{k}", recall_at(k), "iuUS"),
    "accuracy": lambda _: Metric("accuracy", accuracy, "iub"),
    "mean_absolute_error": lambda _: Metric("mean_absolute_error", negative_absolute_error, "iuf"),
}
METRIC_NAMES = ("recall@K", "accuracy", "mean_absolute_error")


def _require_axes(name: str, outputs: NDArray[Any], axes: int) -> None:
    if outputs.ndim != axes:
        raise StudyInputError(f"{name} needs answers of {axes} axes, but their shape is {outputs.shape}.")
