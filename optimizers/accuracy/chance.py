"""Whether a baseline is at chance level; keeping the accuracy of such a baseline proves little."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from .answers import take
from .metrics import Metric
from .outputs import MULTILABEL, OutputReading
from .reading import read_labels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SDS = 2.0


def chance_note(
    value: float,
    labels: NDArray[Any] | None,
    metric: Metric,
    reading: OutputReading,
    *,
    rows: NDArray[np.int64] | None = None,
) -> str | None:
    """Return a warning if the baseline is no better than a trivial model, otherwise None.

    A trivial model ignores its input. A value within two standard errors of the trivial model's is at chance level.
    """
    if not metric.needs_labels or labels is None:
        return None
    chance = _chance(take(read_labels(reading, labels, metric), rows), metric, reading)
    if chance is None:
        return None
    level, noise, trivial_model = chance
    gap = (value - level) if metric.is_higher_better else (level - value)
    if gap > noise:
        return None
    return (
        f"The baseline's {metric.name} of {value:.4f} is at chance level: {trivial_model} reaches {level:.4f}. Check "
        "the labels, their order and --output."
    )


def _chance(labels: NDArray[Any], metric: Metric, reading: OutputReading) -> tuple[float, float, str] | None:
    """Return the value of a trivial model, the noise of this value, and a description of the model."""
    import numpy as np

    n = len(labels)
    if metric.family == "regression":
        return _regression_chance(labels.astype(np.float64).reshape(n, -1), metric)
    if metric.family == "retrieval":
        _, sizes = np.unique(labels, return_counts=True)
        share = float((sizes * (sizes - 1)).sum()) / max(n * (n - 1), 1)
        return share, _SDS * math.sqrt(share * (1 - share) / n), "a random order"
    if metric.family == "text":
        return 1.0, 0.0, "an empty text"
    if reading.kind in MULTILABEL:
        return _multilabel_chance(labels, metric)
    if metric.family not in ("classes", "ranking", "probabilities"):
        return None
    _, sizes = np.unique(labels, return_counts=True)
    positive = float((labels == reading.classes[-1]).mean()) if reading.classes else 0.0
    return _class_chance(sizes / n, n, metric, reading, positive)


def _class_chance(
    shares: NDArray[Any], n: int, metric: Metric, reading: OutputReading, positive: float
) -> tuple[float, float, str] | None:
    import numpy as np

    most, rarest, number = float(shares.max()), float(shares.min()), len(shares)
    if metric.name == "accuracy":
        return most, _SDS * math.sqrt(most * (1 - most) / n), "always the most frequent class"
    if metric.name == "balanced_accuracy":
        noise = math.sqrt(sum(1 / (share * n) for share in shares) / number**2 * (number - 1) / number**2)
        return 1 / number, _SDS * noise, "always the same class"
    if metric.name in ("matthews_corrcoef", "cohen_kappa"):
        return 0.0, _SDS / math.sqrt(n), "a random answer"
    if metric.name.startswith("roc_auc"):
        return 0.5, _SDS * math.sqrt(1 / (12 * rarest * (1 - rarest) * n)), "a random order"
    if metric.name in ("f1", "jaccard", "average_precision") and number == 2:
        # The value of a model that always answers class 1.
        level = {"f1": 2 * positive / (1 + positive)}.get(metric.name, positive)
        return level, _SDS * math.sqrt(positive * (1 - positive) / n), "always class 1"
    if metric.name == "log_loss":
        return -float((shares * np.log(shares)).sum()), 0.0, "always the shares of the classes"
    if metric.name == "brier_score":
        spread = 1 - float((shares**2).sum())
        return spread / 2 if len(reading.classes) == 2 else spread, 0.0, "always the shares of the classes"
    return None


def _multilabel_chance(labels: NDArray[Any], metric: Metric) -> tuple[float, float, str] | None:
    import numpy as np

    n = len(labels)
    if metric.name == "accuracy":
        _, sizes = np.unique(labels, axis=0, return_counts=True)
        most = float(sizes.max()) / n
        return most, _SDS * math.sqrt(most * (1 - most) / n), "always the most frequent labels"
    if metric.name.startswith("roc_auc"):
        share = float(labels.mean(axis=0).min())
        return 0.5, _SDS * math.sqrt(1 / (12 * max(share * (1 - share), 1 / n) * n)), "a random order"
    return None


def _regression_chance(labels: NDArray[Any], metric: Metric) -> tuple[float, float, str] | None:
    import numpy as np

    deviations = np.abs(labels - np.median(labels, axis=0))
    if metric.name == "r2":
        return 0.0, 0.0, "always the mean"
    if metric.name == "mean_absolute_error":
        return float(deviations.mean()), 0.0, "always the median"
    if metric.name == "mean_squared_error":
        return float(labels.var(axis=0).mean()), 0.0, "always the mean"
    if metric.name == "root_mean_squared_error":
        return float(labels.std(axis=0).mean()), 0.0, "always the mean"
    return None
