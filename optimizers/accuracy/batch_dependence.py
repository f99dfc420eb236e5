"""Whether an answer depends on the other requests in its batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bento_monitor.lab.model_host.answer_values import Answers

from .metrics.agreement import cosines
from .outputs import CLASS_LIKE, PROBABILITIES, OutputReading, predicted, read
from .raw_answers import differ_beside_numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

Measure = Literal["least cosine", "share of changed answers", "largest change"]


@dataclass(frozen=True, slots=True)
class BatchDependence:
    """How much the composition of a batch changes answers.

    Attributes:
        measure: the smallest cosine between a sample's answers in a batch of one and in a shared batch (vectors), the
            share of samples whose answer changes (classes, labels, texts), or the largest change of a number. The unit
            of a change is probability for probabilities; for logits and scores, it is the standard deviation of the
            answers in batches of one.
        value: the value of the measure.
    """

    measure: Measure
    value: float

    @property
    def amount(self) -> float:
        """One minus the cosine, the share, or the change; 0 if the composition does not matter."""
        return 1 - self.value if self.measure == "least cosine" else self.value


def batch_dependence(reading: OutputReading, alone: Answers, batched: Answers) -> BatchDependence:
    """Compare answers to the same samples in batches of one and in shared batches.

    Raises:
        StudyInputError: the answers do not fit the reading.
    """
    import numpy as np

    left, right = read(reading, alone), read(reading, batched)
    if reading.kind in ("classes", "text", "multilabel", "raw"):
        changed = [bool(np.any(one != other)) for one, other in zip(left, right, strict=True)]
        return BatchDependence("share of changed answers", float(np.mean(changed)))
    if reading.kind == "vector":
        return BatchDependence("least cosine", batch_dependence_min_cosine(left, right))
    changes = np.abs(left - right).reshape(len(left), -1)
    if reading.kind not in PROBABILITIES:
        spread = left.reshape(len(left), -1).std(axis=0)
        changes = np.divide(changes, spread, out=changes.copy(), where=spread > 0)
    return BatchDependence("largest change", float(changes.max()))


def flip_share(reading: OutputReading, left: Answers, right: Answers) -> float:
    """Return the share of samples whose class, labels, text or other JSON value differ; 0 for outputs of numbers.

    Of sentences, more than half of the words must differ. Numbers within a JSON value are not compared.

    Raises:
        StudyInputError: the answers do not fit the reading.
    """
    import numpy as np

    if reading.kind in ("text", "raw"):
        pairs = zip(read(reading, left), read(reading, right), strict=True)
        return float(np.mean([differ_beside_numbers(*pair) for pair in pairs]))
    if reading.kind not in CLASS_LIKE:
        return 0.0
    one, other = predicted(reading, read(reading, left)), predicted(reading, read(reading, right))
    return float(np.asarray(one != other).reshape(len(one), -1).any(axis=1).mean())


def batch_dependence_min_cosine(alone: NDArray[Any], batched: NDArray[Any]) -> float:
    """Return the smallest cosine between answers in a batch of one and in a shared batch; 1 means no dependence.

    An answer of a single number is compared as the vector (number, 1), since the cosine of numbers is only their sign.
    """
    import numpy as np

    left, right = alone.reshape(len(alone), -1), batched.reshape(len(batched), -1)
    if left.shape[1] == 1:
        ones = np.ones((len(left), 1))
        left, right = np.hstack([left, ones]), np.hstack([right, ones])
    return float(cosines(left, right).min())
