"""How much accuracy a candidate loses against the baseline, with a bound that holds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bento_monitor.errors import MeasurementError
from bento_monitor.lab.model_host.answer_values import Answers
from bento_monitor.lab.statistics.flips import flip_drop_bound
from bento_monitor.lab.statistics.noninferiority import DropBound, Method, samples_for, score_drop_bound
from bento_monitor.lab.statistics.resampled import MOST_UNDEFINED_SHARE, resampled_drop_bound

from ..errors import StudyInputError
from .answers import take
from .metrics import Metric, Pooled, Scores
from .outputs import OutputReading, read
from .reading import read_labels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ROUNDS = 1000
# A user's function is called twice a round, and may be slow.
_FUNCTION_ROUNDS = 300
_TRIES, _FUNCTION_TRIES = 100, 10


@dataclass(frozen=True, slots=True)
class AccuracyResult:
    """Baseline and candidate on the same `n` samples.

    Attributes:
        baseline: the baseline's value, in the metric's own direction.
        candidate: the candidate's value.
        drop: how much worse the candidate is, whatever the metric's direction.
        upper: the one-sided bound of the drop, at `confidence`.
        n: the samples that were compared.
        method: where the bound comes from.
        confidence: 1 - alpha.
        capped: how many of both models' scores were capped for the bound.
        largest_loss: what one sample can lose, in the metric's own unit.
    """

    baseline: float
    candidate: float
    drop: float
    upper: float
    n: int
    method: Method
    confidence: float
    capped: int
    largest_loss: float


@dataclass(frozen=True, slots=True)
class Worth:
    """What one model's answers are worth on `n` samples, and what that says about the samples that a proof needs."""

    value: float
    n: int
    largest_loss: float
    method: Method
    capped: int


def compare_accuracy(
    baseline_answers: Answers,
    candidate_answers: Answers,
    labels: NDArray[Any] | None,
    metric: Metric,
    reading: OutputReading,
    *,
    alpha: float = 0.05,
    rows: NDArray[np.int64] | None = None,
    seed: int = 0,
) -> AccuracyResult:
    """Compare two models' answers to the same samples, or to those of `rows`.

    Raises:
        StudyInputError: the answers do not fit the metric, are NaN, or leave no sample to score.
    """
    if len(baseline_answers) != len(candidate_answers):
        raise StudyInputError(f"There are {len(candidate_answers)} answers for {len(baseline_answers)} samples.")
    baseline = _evaluate(baseline_answers, baseline_answers, labels, metric, reading, rows)
    candidate = _evaluate(candidate_answers, baseline_answers, labels, metric, reading, rows)
    try:
        bound = _bound(baseline, candidate, metric, alpha, seed)
    except MeasurementError as error:
        raise StudyInputError(str(error)) from error
    sign = 1.0 if metric.is_higher_better else -1.0
    seen = sign * (baseline.value - candidate.value)
    capped = baseline.capped + candidate.capped
    return AccuracyResult(
        baseline=baseline.value,
        candidate=candidate.value,
        drop=seen,
        # Where a cap hides a part of the drop, no less than what was seen is claimed.
        upper=max(bound.upper, seen) if capped else bound.upper,
        n=baseline.n,
        method=bound.method,
        confidence=bound.confidence,
        capped=capped,
        largest_loss=_largest_loss(baseline),
    )


def assess(
    answers: Answers,
    labels: NDArray[Any] | None,
    metric: Metric,
    reading: OutputReading,
    *,
    rows: NDArray[np.int64] | None = None,
) -> Worth:
    """What the baseline's own answers are worth.

    Raises:
        StudyInputError: the answers do not fit the metric, are NaN, or leave no sample to score; or the metric is
            undefined for them, or for so many resamples that no bound can come of them.
    """
    found = _evaluate(answers, answers, labels, metric, reading, rows)
    _require_defined(found, metric)
    return Worth(found.value, found.n, _largest_loss(found), _method(found), found.capped)


def require_enough(
    n: int,
    metric: Metric,
    tolerance: float,
    worth: Worth,
    *,
    alpha: float = 0.05,
    share: float = 1.0,
    copies: int = 0,
) -> None:
    """Refuse `n` samples of the proof that cannot prove a drop of at most `tolerance`, in the metric's own unit.

    `share` is the part of all samples that they are; the message counts all. `copies` of others are not among them.

    Raises:
        StudyInputError: no result on so few samples can prove it; the message has the number that would do.
    """
    if tolerance <= 0:
        raise StudyInputError("No number of samples proves a drop of at most 0: allow more by --max-drop.")
    least = samples_for(tolerance, largest_loss=worth.largest_loss, alpha=alpha, method=worth.method)
    if n < least:
        more = "answers flip" if worth.method == "flips" else "answers differ"
        left_out = f" ({copies:,} copies of others not counted)" if copies else ""
        raise StudyInputError(
            f"{math.floor(n / share):,} samples{left_out} cannot prove {metric.name} at most {tolerance:.4g} worse: "
            f"at least {math.ceil(least / share):,} would, more if {more}. Give more data, or allow more by --max-drop."
        )


def _evaluate(
    answers: Answers,
    baseline_answers: Answers,
    labels: NDArray[Any] | None,
    metric: Metric,
    reading: OutputReading,
    rows: NDArray[np.int64] | None,
) -> Scores | Pooled:
    if metric.needs_labels:
        if labels is not None and len(labels) != len(answers):
            raise StudyInputError(f"There are {len(answers)} answers for {len(labels)} labels.")
        truth = read_labels(reading, labels, metric)
    else:
        truth = read(reading, baseline_answers)
    values = read(reading, answers)
    return metric.evaluate(take(values, rows), take(truth, rows), reading)


def _bound(baseline: Scores | Pooled, candidate: Scores | Pooled, metric: Metric, alpha: float, seed: int) -> DropBound:
    import numpy as np

    if isinstance(baseline, Pooled) and isinstance(candidate, Pooled):
        before, after, n = baseline.score, candidate.score, baseline.n

        def drop_of(indices: NDArray[np.int64]) -> float:
            counts = np.bincount(indices, minlength=n)
            return before(counts) - after(counts)

        loss = max(baseline.largest_loss, candidate.largest_loss)
        rounds = _FUNCTION_ROUNDS if metric.family == "function" else _ROUNDS
        return resampled_drop_bound(n, drop_of, largest_loss=loss, alpha=alpha, seed=seed, rounds=rounds)
    if not (isinstance(baseline, Scores) and isinstance(candidate, Scores)):
        raise StudyInputError(f"The metric {metric.name} gave one number for one model and scores for the other.")
    if baseline.is_binary and candidate.is_binary:
        losses = int((baseline.values > candidate.values).sum())
        gains = int((baseline.values < candidate.values).sum())
        return flip_drop_bound(losses, gains, baseline.n, alpha=alpha)
    return score_drop_bound(baseline.values, candidate.values, largest_losses=baseline.largest_losses, alpha=alpha)


def _require_defined(found: Scores | Pooled, metric: Metric) -> None:
    import numpy as np

    if not math.isfinite(found.value):
        raise StudyInputError(f"{metric.name} is undefined for these {found.n} samples: give samples of more classes.")
    if not isinstance(found, Pooled):
        return
    generator = np.random.default_rng(0)
    rounds = _FUNCTION_TRIES if metric.family == "function" else _TRIES
    tries = [generator.multinomial(found.n, np.full(found.n, 1 / found.n)) for _ in range(rounds)]
    undefined = sum(not math.isfinite(found.score(counts)) for counts in tries)
    if undefined > MOST_UNDEFINED_SHARE * rounds:
        raise StudyInputError(
            f"{metric.name} has no bound on {found.n} samples: drawn anew from them, it is undefined in {undefined} of "
            f"{rounds} tries. Give more samples of the rarest class."
        )


def _largest_loss(found: Scores | Pooled) -> float:
    return found.largest_loss if isinstance(found, Pooled) else float(found.largest_losses.max())


def _method(found: Scores | Pooled) -> Method:
    if isinstance(found, Pooled):
        return "bootstrap"
    return "flips" if found.is_binary else "t"
