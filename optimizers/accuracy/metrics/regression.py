"""Metrics of numbers, with scikit-learn's names and values; errors are capped at the range of the labels."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from ...errors import StudyInputError
from ..answers import shown
from ..outputs import OutputReading
from ._base import UNSEEN_SAMPLES, Metric, Pooled, Scores, require_extra

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LABEL_KINDS = "biuf"
_CAP = "a sample's error is capped at the range of the labels"
_LARGEST_RELATIVE_ERROR = 1.0


def _errors(answers: NDArray[Any], labels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], int]:
    """Return absolute errors `(n, m)`, capped errors, the labels' range `(m,)`, and the number of capped samples."""
    import numpy as np

    truth = labels.astype(np.float64).reshape(len(labels), -1)
    errors = np.abs(answers.reshape(len(answers), -1) - truth)
    width = np.ptp(truth, axis=0)
    # If all labels are equal, their magnitude serves as the range.
    width = np.where(width > 0, width, np.maximum(np.abs(truth).max(axis=0), 1.0))
    return errors, np.minimum(errors, width), width, int((errors > width).any(axis=1).sum())


def _mean_absolute(answers: NDArray[Any], labels: NDArray[Any], _reading: OutputReading) -> Scores:
    errors, limited, width, capped = _errors(answers, labels)
    return Scores(-limited.mean(axis=1), -float(width.mean()), float(errors.mean()), capped=capped)


def _mean_squared(answers: NDArray[Any], labels: NDArray[Any], _reading: OutputReading) -> Scores:
    errors, limited, width, capped = _errors(answers, labels)
    values = -(limited**2).mean(axis=1)
    return Scores(values, -float((width**2).mean()), float((errors**2).mean()), capped=capped)


def _relative(answers: NDArray[Any], labels: NDArray[Any], _reading: OutputReading) -> Scores:
    import numpy as np

    errors = _errors(answers, labels)[0]
    sizes = np.abs(labels.astype(np.float64).reshape(errors.shape))
    if not sizes.all():
        raise StudyInputError(
            "A label is 0, so its relative error is undefined: use mean_absolute_error, or leave out samples whose "
            "label is 0."
        )
    each = (errors / sizes).mean(axis=1)
    capped = int((each > _LARGEST_RELATIVE_ERROR).sum())
    values = -np.minimum(each, _LARGEST_RELATIVE_ERROR)
    return Scores(values, -_LARGEST_RELATIVE_ERROR, float(each.mean()), capped=capped)


def _root_mean_squared(answers: NDArray[Any], labels: NDArray[Any], _reading: OutputReading) -> Pooled:
    """Compute the error and its largest loss; the loss is not proportional to the share of failing samples.

    The square root is steepest at small errors.
    """
    import numpy as np

    errors, limited, width, capped = _errors(answers, labels)
    squares = limited**2
    n = len(squares)

    def score(counts: NDArray[np.int64]) -> float:
        return -float(np.sqrt(counts @ squares / counts.sum()).mean())

    share = min(1.0, UNSEEN_SAMPLES / n)
    mean = squares.mean(axis=0)
    loss = (np.sqrt((1 - share) * mean + share * width**2) - np.sqrt(mean)) / share
    if capped:  # errors beyond the cap can still grow: the slope at the cap limits the loss
        loss = np.maximum(loss, width / 2)
    value = float(np.sqrt((errors**2).mean(axis=0)).mean())
    return Pooled(n, value, score, float(loss.mean()), capped)


def _r2(answers: NDArray[Any], labels: NDArray[Any], _reading: OutputReading) -> Pooled:
    import numpy as np
    from sklearn.metrics import r2_score

    _, limited, width, capped = _errors(answers, labels)
    truth = labels.astype(np.float64).reshape(limited.shape)
    if not np.ptp(truth, axis=0).all():
        raise StudyInputError(
            f"R2 is undefined if all {len(truth)} labels are equal, here {shown(truth[0].tolist())}: use "
            "mean_absolute_error, or give samples with other labels."
        )
    centered = truth - truth.mean(axis=0)
    squares, n = limited**2, len(truth)

    def score(counts: NDArray[np.int64]) -> float:
        mean = counts @ centered / counts.sum()
        spread = counts @ (centered**2) - counts.sum() * mean**2
        return float((1 - (counts @ squares) / spread).mean()) if (spread > 0).all() else math.nan

    loss = float((width**2 / centered.var(axis=0)).mean())
    return Pooled(n, float(r2_score(truth, answers.reshape(truth.shape))), score, loss, capped)


def _make(name: str, evaluate: Any, *, needs_library: bool = True) -> Metric:
    if needs_library:
        require_extra("sklearn", name)
    cap = "a sample's relative error is capped at 1" if evaluate is _relative else _CAP
    return Metric(name, "regression", evaluate is _r2, LABEL_KINDS, evaluate, cap)


METRICS: dict[str, Callable[[], Metric]] = {
    "mean_absolute_error": partial(_make, "mean_absolute_error", _mean_absolute, needs_library=False),
    "mean_squared_error": partial(_make, "mean_squared_error", _mean_squared),
    "root_mean_squared_error": partial(_make, "root_mean_squared_error", _root_mean_squared),
    "mean_absolute_percentage_error": partial(_make, "mean_absolute_percentage_error", _relative),
    "r2": partial(_make, "r2", _r2),
}
