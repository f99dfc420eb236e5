"""The result types of all metrics: scores of samples, or a statistic pooled over all samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bento_monitor.extras import missing_message

from ...errors import StudyInputError
from ..outputs import OutputReading

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Family = Literal["classes", "ranking", "probabilities", "regression", "retrieval", "text", "agreement", "function"]
# If none of n samples has a property, the share of samples with it is at most 1 - .05**(1/n), about this number over n,
# at 95 % confidence.
UNSEEN_SAMPLES = 3.0


@dataclass(frozen=True, slots=True)
class Scores:
    """A score for each sample, higher is better; the metric is the mean score.

    Attributes:
        values: `(n,) float64`, capped if scores are unbounded.
        least: the lowest possible score: one number, or one for each sample.
        value: the metric as reported to the user, without a cap and in its own direction.
        is_binary: whether each score is 0 or 1, so that a drop is a share of flips.
        capped: the number of capped scores.
    """

    values: NDArray[np.float64]
    least: float | NDArray[np.float64]
    value: float
    is_binary: bool = False
    capped: int = 0

    @property
    def n(self) -> int:
        """The number of samples."""
        return len(self.values)

    @property
    def largest_losses(self) -> NDArray[np.float64]:
        """How far each score can fall, `(n,)`; if scores were capped, at least by the size of the cap."""
        import numpy as np

        losses = np.maximum(self.values - self.least, 0.0)
        return np.maximum(losses, np.abs(self.least)) if self.capped else losses


@dataclass(frozen=True, slots=True)
class Pooled:
    """A statistic over all samples that is not a mean of their scores.

    Attributes:
        n: the number of samples.
        value: the metric of all samples as reported to the user, without a cap and in its own direction.
        score: the statistic of a resample, capped, higher is better. The argument is `counts`, `(n,) int64`: the
            resample contains sample i `counts[i]` times. The result is NaN if the statistic is undefined.
        largest_loss: the drop of the statistic if a share of samples loses all it can, divided by that share.
        capped: the number of samples whose part of the statistic was capped.
    """

    n: int
    value: float
    score: Callable[[NDArray[np.int64]], float]
    largest_loss: float
    capped: int = 0


Evaluate = Callable[["NDArray[Any]", "NDArray[Any]", OutputReading], Scores | Pooled]


@dataclass(frozen=True, slots=True)
class Metric:
    """A named metric.

    Attributes:
        name: the printed name.
        family: the group of metrics that accept the same kinds of outputs.
        is_higher_better: the metric's own direction.
        label_kinds: the numpy kinds of the accepted labels.
        evaluate: computes the metric from read answers and labels.
        cap: the limit on a sample's loss, in words; empty if the score itself is bounded.
        evaluate_groups: computes the metric from answers, labels and the number of each sample's group, `(n,)`, for a
            metric that is defined on groups of samples; None for one that is defined on samples.
    """

    name: str
    family: Family
    is_higher_better: bool
    label_kinds: str
    evaluate: Evaluate
    cap: str = ""
    evaluate_groups: Callable[[Any, NDArray[Any], NDArray[np.int64]], Pooled] | None = None

    @property
    def needs_labels(self) -> bool:
        """Whether the metric requires labels."""
        return self.family != "agreement"


def require_extra(module: str, metric: str) -> None:
    """Refuse a metric whose library is missing.

    Raises:
        StudyInputError: the library is missing; the message has the command that installs it.
    """
    if (lack := missing_message("optimize", f"The metric {metric}", module)) is not None:
        raise StudyInputError(lack)


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probabilities `(n, k)` of logits `(n, k)`."""
    from scipy import special

    result: NDArray[np.float64] = special.softmax(logits, axis=1)
    return result


def encode(labels: NDArray[Any], answers: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64], list[Any]]:
    """Return labels and answered classes as integer codes, and the sorted classes of both together."""
    import numpy as np

    classes, codes = np.unique(np.concatenate([labels, answers]), return_inverse=True)
    codes = codes.astype(np.int64).reshape(-1)
    return codes[: len(labels)], codes[len(labels) :], classes.tolist()
