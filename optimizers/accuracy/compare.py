"""How much accuracy a candidate loses against the baseline, and whether an answer depends on who shares its batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bento_monitor.model_host.answer_values import Answers
from bento_monitor.statistics.noninferiority import drop_upper_bound

from ..errors import StudyInputError
from .metrics import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class AccuracyResult:
    """Mean scores on the same `n` samples; `drop` is baseline less candidate, `drop_upper95` its one-sided bound."""

    baseline: float
    candidate: float
    drop: float
    drop_upper95: float
    n: int


def compare_accuracy(baseline: Answers, candidate: Answers, labels: NDArray[Any], metric: Metric) -> AccuracyResult:
    """Compare two models' answers to the same samples, sample by sample.

    Raises:
        StudyInputError: the answers do not fit the metric, have a NaN, or leave no sample to score.
    """
    baseline_scores = score_answers(baseline, labels, metric)
    candidate_scores = score_answers(candidate, labels, metric)
    bound = drop_upper_bound(baseline_scores, candidate_scores, confidence=0.95)
    return AccuracyResult(
        baseline=float(baseline_scores.mean()),
        candidate=float(candidate_scores.mean()),
        drop=bound.mean_drop,
        drop_upper95=bound.upper,
        n=bound.n,
    )


def score_answers(answers: Answers, labels: NDArray[Any], metric: Metric) -> NDArray[np.float64]:
    """The metric's score of each sample that has one.

    Raises:
        StudyInputError: the answers do not fit the metric, have a NaN, or leave no sample to score.
    """
    import numpy as np

    if len(answers) != len(labels):
        raise StudyInputError(f"There are {len(answers)} answers for {len(labels)} labels.")
    numbers = _numbers(answers)
    if not np.isfinite(numbers).all():
        raise StudyInputError("The model answers with NaN or infinite numbers, so its accuracy cannot be measured.")
    scores = metric.score(numbers, labels)
    if not len(scores):
        raise StudyInputError(f"No sample can be scored by {metric.name}: no two of them have the same label.")
    return scores


def batch_dependence_min_cosine(alone: Answers, in_company: Answers) -> float:
    """The least cosine between a sample's answer alone and in a batch; 1 where company does not matter.

    A single number as an answer is compared as the vector (number, 1), since the cosine of numbers is only their sign.
    """
    import numpy as np

    left = _numbers(alone).reshape(len(alone), -1).astype(np.float64)
    right = _numbers(in_company).reshape(len(in_company), -1).astype(np.float64)
    if left.shape[1] == 1:
        ones = np.ones((len(left), 1))
        left, right = np.hstack([left, ones]), np.hstack([right, ones])
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    both_zero = (norms == 0) & (left == right).all(axis=1)
    cosines = (left * right).sum(axis=1) / np.maximum(norms, np.finfo(np.float64).tiny)
    return float(np.where(both_zero, 1.0, np.minimum(cosines, 1.0)).min())


def _numbers(answers: Answers) -> NDArray[Any]:
    if isinstance(answers, list) or answers.dtype.kind not in "biuf":
        raise StudyInputError(f"The API's answers, such as {answers[0]!r}, are not all numbers of one shape.")
    return answers
