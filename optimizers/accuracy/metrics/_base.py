"""What every metric gives: scores of samples, or a statistic that is pooled over them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bento_monitor.extras import lack_of

from ...errors import StudyInputError
from ..outputs import OutputReading

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Family = Literal["classes", "ranking", "probabilities", "regression", "retrieval", "text", "agreement", "function"]
# What a share of all samples of which n show none can be is 1 - .05**(1/n), about this over n.
UNSEEN_SAMPLES = 3.0


@dataclass(frozen=True, slots=True)
class Scores:
    """A score of each sample, higher is better; the metric is their mean.

    Attributes:
        values: `(n,) float64`, capped where a score has no limit.
        least: the least that a score can be, in one number or one for each sample.
        value: the metric as people read it, without a cap and in its own direction.
        is_binary: whether each score is 0 or 1, so that a drop is a share of flips.
        capped: how many scores were capped.
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
        """How far each score can still fall, `(n,)`; what is beyond a cap can get worse by as much as a cap."""
        import numpy as np

        losses = np.maximum(self.values - self.least, 0.0)
        return np.maximum(losses, np.abs(self.least)) if self.capped else losses


@dataclass(frozen=True, slots=True)
class Pooled:
    """A statistic over all samples that is no mean of their scores.

    Attributes:
        n: the number of samples.
        value: the metric of all samples as people read it, without a cap and in its own direction.
        score: the statistic, higher is better and capped, where sample i is there `counts[i]` times, for counts
            `(n,) int64`; NaN where it is undefined.
        largest_loss: what the statistic falls by, for each share of all samples, where these lose all they can.
        capped: how many samples' parts were capped.
    """

    n: int
    value: float
    score: Callable[[NDArray[np.int64]], float]
    largest_loss: float
    capped: int = 0


Evaluate = Callable[["NDArray[Any]", "NDArray[Any]", OutputReading], Scores | Pooled]


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric by its name.

    Attributes:
        name: as it is printed.
        family: what it asks of an output.
        is_higher_better: its own direction.
        form: whether it is a mean of 0/1 scores ("flips"), a mean of real scores, or pooled; None where the outputs
            decide.
        label_kinds: the numpy kinds of labels that it takes.
        evaluate: what read answers are worth by canonical labels.
        cap: what limits a sample's loss, in words; empty where the score itself has a limit.
    """

    name: str
    family: Family
    is_higher_better: bool
    form: Literal["flips", "mean", "pooled"] | None
    label_kinds: str
    evaluate: Evaluate
    cap: str = ""

    @property
    def needs_labels(self) -> bool:
        """Whether it cannot be measured without labels."""
        return self.family != "agreement"


def require_extra(module: str, metric: str) -> None:
    """Refuse a metric whose library is missing.

    Raises:
        StudyInputError: it is; the message has the command that installs it.
    """
    if (lack := lack_of("optimize", f"The metric {metric}", module)) is not None:
        raise StudyInputError(lack)


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities `(n, k)` of logits `(n, k)`."""
    from scipy import special

    result: NDArray[np.float64] = special.softmax(logits, axis=1)
    return result


def encode(labels: NDArray[Any], answers: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64], list[Any]]:
    """Labels and answered classes as numbers, and the sorted classes of both together."""
    import numpy as np

    classes, codes = np.unique(np.concatenate([labels, answers]), return_inverse=True)
    codes = codes.astype(np.int64).reshape(-1)
    return codes[: len(labels)], codes[len(labels) :], classes.tolist()
