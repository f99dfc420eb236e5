"""Agreement with the baseline's answers, for data without labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..outputs import CLASS_LIKE, OutputReading, predicted
from ._base import Metric, Scores

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _evaluate(answers: NDArray[Any], baseline: NDArray[Any], reading: OutputReading) -> Scores:
    """Score the share of equal classes or texts, the mean cosine of vectors, or one minus the error of scores.

    The mean of the baseline's vectors is subtracted first. If all vectors point in one direction, as those of many
    language models do, a single constant vector has a cosine of .99 to each. A score's error is in standard deviations
    of the baseline's answers (without 1 % at each end) and at most 1: answers that differ as much as samples do have
    an agreement of 0.
    """
    import numpy as np

    if reading.kind in CLASS_LIKE or reading.kind == "text":
        same = predicted(reading, answers) == predicted(reading, baseline) if reading.kind != "text" else None
        is_same = answers == baseline if same is None else same
        values = (is_same.all(axis=1) if is_same.ndim > 1 else is_same).astype(np.float64)
        return Scores(values, 0.0, float(values.mean()), is_binary=True)
    if reading.kind == "vector":
        center = baseline.astype(np.float64).mean(axis=0)
        values = cosines(baseline - center, answers - center)
        return Scores(values, -1.0, float(values.mean()))
    values = _closeness(answers.reshape(len(answers), -1), baseline.reshape(len(baseline), -1))
    return Scores(values, 0.0, float(values.mean()))


def cosines(left: NDArray[Any], right: NDArray[Any]) -> NDArray[Any]:
    """Return the cosine of each pair of rows, `(n,) float64`; 1 for two rows of zeros, and 0 if only one is zero."""
    import numpy as np

    left, right = left.astype(np.float64), right.astype(np.float64)
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    both_zero = (left == 0).all(axis=1) & (right == 0).all(axis=1)
    cosine = (left * right).sum(axis=1) / np.maximum(norms, np.finfo(np.float64).tiny)
    return np.where(both_zero, 1.0, np.clip(cosine, -1.0, 1.0))


def _closeness(answers: NDArray[Any], baseline: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    # A few outliers would dominate the standard deviation and make every error look small.
    inner = np.clip(baseline, *np.quantile(baseline, (0.01, 0.99), axis=0)).std(axis=0)
    spread = np.where(inner > 0, inner, baseline.std(axis=0))
    errors = np.abs(answers - baseline)
    relative = np.divide(errors, spread, out=(errors > 0).astype(np.float64), where=spread > 0)
    closeness: NDArray[Any] = 1 - np.minimum(relative, 1.0).mean(axis=1)
    return closeness


METRICS: dict[str, Callable[[], Metric]] = {
    "agreement": lambda: Metric("agreement", "agreement", True, "biufUS", _evaluate)
}
