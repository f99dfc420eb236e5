"""Metrics of probabilities, with scikit-learn's names and values: log loss and the Brier score."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..outputs import BY_COLUMN, OutputReading
from ._base import Metric, Scores, require_extra, softmax
from .classes import LABEL_KINDS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LARGEST_LOG_LOSS = 14.0


def probabilities_of(answers: NDArray[Any], reading: OutputReading) -> NDArray[np.float64]:
    """Return the probability of each class, `(n, classes)`, in the order of the reading's classes."""
    import numpy as np
    from scipy import special

    if reading.kind == "logits":
        return softmax(answers)
    if reading.kind in BY_COLUMN:
        return np.asarray(np.clip(answers, 0, 1))
    positive = special.expit(answers) if reading.kind == "logit" else np.clip(answers, 0, 1)
    return np.column_stack([1 - positive, positive])


def _label_columns(labels: NDArray[Any], reading: OutputReading) -> NDArray[np.int64]:
    import numpy as np

    classes = np.array(reading.classes)
    order = np.argsort(classes)
    columns: NDArray[np.int64] = order[np.searchsorted(classes, labels, sorter=order)]
    return columns


def _log_loss(answers: NDArray[Any], labels: NDArray[Any], reading: OutputReading) -> Scores:
    """Compute the negative log probability of the label's class; like scikit-learn, clip it at float64's epsilon."""
    import numpy as np

    probabilities = probabilities_of(answers, reading)
    smallest = np.finfo(np.float64).eps
    clipped = np.clip(probabilities, smallest, 1 - smallest)
    clipped /= clipped.sum(axis=1, keepdims=True)
    losses = -np.log(clipped[np.arange(len(labels)), _label_columns(labels, reading)])
    is_capped = losses > _LARGEST_LOG_LOSS
    values = -np.minimum(losses, _LARGEST_LOG_LOSS)
    return Scores(values, -_LARGEST_LOG_LOSS, float(losses.mean()), capped=int(is_capped.sum()))


def _brier(answers: NDArray[Any], labels: NDArray[Any], reading: OutputReading) -> Scores:
    """Compute the squared error of the probabilities: of class 1 for two classes, otherwise summed over all classes."""
    import numpy as np

    probabilities = probabilities_of(answers, reading)
    truth = np.eye(len(reading.classes))[_label_columns(labels, reading)]
    errors = ((probabilities - truth) ** 2).sum(axis=1)
    is_binary = probabilities.shape[1] == 2
    errors = errors / 2 if is_binary else errors
    return Scores(-errors, -1.0 if is_binary else -2.0, float(errors.mean()))


def _make_log_loss() -> Metric:
    require_extra("sklearn", "log_loss")
    cap = f"a sample's loss is capped at {_LARGEST_LOG_LOSS:g}"
    return Metric("log_loss", "probabilities", False, LABEL_KINDS, _log_loss, cap)


def _make_brier() -> Metric:
    require_extra("sklearn", "brier_score")
    return Metric("brier_score", "probabilities", False, LABEL_KINDS, _brier)


METRICS: dict[str, Callable[[], Metric]] = {"log_loss": _make_log_loss, "brier_score": _make_brier}
