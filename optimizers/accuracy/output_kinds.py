"""The kind of an output: inferred from its type, shape and range, the labels and the metric."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import StudyInputError
from .answers import shown
from .metrics import Metric
from .metrics._base import Family
from .outputs import CLASS_LIKE, OUTPUT_KINDS, OutputKind, is_one_hot, is_within_unit, is_zero_or_one, read_classes

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SUM_TOLERANCE = 1e-2
Decision = tuple[OutputKind, str]
_CLASS_READINGS: tuple[OutputKind, ...] = tuple(kind for kind in OUTPUT_KINDS if kind in CLASS_LIKE)
KINDS_OF: dict[Family, tuple[OutputKind, ...]] = {
    "classes": _CLASS_READINGS,
    "ranking": (*(kind for kind in _CLASS_READINGS if kind != "classes"), "score"),
    "probabilities": ("probability", "probabilities", "logit", "logits"),
    "regression": ("score",),
    "retrieval": ("vector",),
    "text": ("text",),
    "agreement": tuple(kind for kind in OUTPUT_KINDS if kind != "raw"),
    "function": OUTPUT_KINDS,
}


def decide_kind(array: NDArray[Any], labels: NDArray[Any] | None, metric: Metric) -> Decision:
    """Return the kind of the answers, and the assumption made, in words.

    Raises:
        StudyInputError: the kind cannot be determined; the message has the choices.
    """
    return _DECIDE[metric.family](array, labels, metric)


def choices(metric: Metric) -> str:
    """Return a sentence with the kinds that the user can choose from."""
    return f"Give the kind of the answers by --output: {', '.join(KINDS_OF[metric.family])} (or FIELD:KIND for dicts)."


def _undetermined(array: NDArray[Any], metric: Metric) -> StudyInputError:
    if array.ndim > 2:
        return StudyInputError(
            f"{metric.name} takes one number or one row per sample, but an answer has the shape {array.shape[1:]}: use "
            "a function of your own as the metric, --metric module:function, which gets answers and labels."
        )
    return StudyInputError(
        f"The kind of answers such as {shown(array[0].tolist())} cannot be determined for the metric {metric.name}. "
        f"{choices(metric)}"
    )


def _decide_classes(array: NDArray[Any], labels: NDArray[Any] | None, metric: Metric) -> Decision:
    if array.ndim > 2 or labels is None:
        raise _undetermined(array, metric)
    if labels.ndim == 2 and not is_one_hot(labels):
        return _decide_multilabel(array, metric)
    if array.ndim == 2:
        return _decide_columns(array, labels, metric)
    if array.dtype.kind in "biuU" or is_whole(array):
        return "classes", ""
    if len(set(read_classes(labels).tolist())) > 2 or not is_within_unit(array):
        raise _undetermined(array, metric)
    return "probability", ""


def _decide_columns(array: NDArray[Any], labels: NDArray[Any], metric: Metric) -> Decision:
    if array.dtype.kind not in "biuf":
        raise _undetermined(array, metric)
    if is_distribution(array):
        return "probabilities", ""
    if is_one_hot(labels) and labels.shape == array.shape and is_zero_or_one(array):
        return "multilabel", ""
    may_be_multilabel = is_one_hot(labels) and is_within_unit(array)
    if array.dtype.kind != "f" or may_be_multilabel or (metric.family == "probabilities" and is_within_unit(array)):
        raise _undetermined(array, metric)
    return "logits", ""


def _decide_multilabel(array: NDArray[Any], metric: Metric) -> Decision:
    if array.ndim == 2 and array.dtype.kind in "biuf":
        if is_zero_or_one(array):
            return "multilabel", ""
        if is_within_unit(array):
            return "multilabel-probabilities", ""
        if metric.family == "ranking":
            return "multilabel-logits", ""
    raise _undetermined(array, metric)


def _decide_ranking(array: NDArray[Any], labels: NDArray[Any] | None, metric: Metric) -> Decision:
    if labels is None or array.dtype.kind == "U" or array.ndim > 2:
        raise _undetermined(array, metric)
    if array.ndim == 1:
        is_probability = array.dtype.kind == "f" and is_within_unit(array)
        return ("probability", "") if is_probability else ("score", "only the order of scores counts")
    if labels.ndim == 2 and not is_one_hot(labels):
        return _decide_multilabel(array, metric)
    return _decide_columns(array, labels, metric)


def _decide_probabilities(array: NDArray[Any], labels: NDArray[Any] | None, metric: Metric) -> Decision:
    if labels is None or array.dtype.kind not in "biuf" or array.ndim > 2:
        raise _undetermined(array, metric)
    if array.ndim == 2:
        return _decide_columns(array, labels, metric)
    if not is_within_unit(array):
        raise _undetermined(array, metric)
    return "probability", ""


def _decide_agreement(array: NDArray[Any], _labels: NDArray[Any] | None, metric: Metric) -> Decision:
    import numpy as np

    if array.dtype.kind == "U" and array.ndim == 1:
        return "text", "texts agree if equal"
    if array.ndim == 1:
        return ("classes", "") if is_whole(array) else ("score", "")
    if array.dtype.kind == "U" or array.ndim > 2:
        raise _undetermined(array, metric)
    if is_distribution(array):
        return "probabilities", ""
    if is_zero_or_one(array):
        return "multilabel", ""
    norms = np.linalg.norm(array.astype(np.float64), axis=1)
    if np.allclose(norms[norms > 0], 1.0, atol=1e-3):
        return "vector", ""
    raise _undetermined(array, metric)


def is_whole(array: NDArray[Any]) -> bool:
    """Whether all answers are whole numbers."""
    import numpy as np

    return array.dtype.kind in "biu" or bool(np.isfinite(array).all() and (array == np.round(array)).all())


def is_distribution(array: NDArray[Any]) -> bool:
    """Whether each row holds probabilities that sum to 1, up to the rounding of half precision."""
    import numpy as np

    return is_within_unit(array) and bool((np.abs(array.sum(axis=1) - 1) < _SUM_TOLERANCE).all())


def _always(kind: OutputKind, kinds: str) -> Callable[[NDArray[Any], NDArray[Any] | None, Metric], Decision]:
    def decide(array: NDArray[Any], _labels: NDArray[Any] | None, metric: Metric) -> Decision:
        if array.dtype.kind not in kinds or (kind == "vector" and array.ndim != 2):
            raise StudyInputError(
                f"{metric.name} needs a {kind} as each answer, but an answer is {shown(array[0].tolist())}: choose "
                "another metric, or name the field to read by --output."
            )
        return kind, ""

    return decide


_DECIDE: dict[Family, Callable[[NDArray[Any], NDArray[Any] | None, Metric], Decision]] = {
    "classes": _decide_classes,
    "ranking": _decide_ranking,
    "probabilities": _decide_probabilities,
    "regression": _always("score", "biufU"),
    "retrieval": _always("vector", "biuf"),
    "text": _always("text", "U"),
    "agreement": _decide_agreement,
}
