"""How much accuracy a candidate loses against the baseline, with an upper confidence bound."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bento_monitor.errors import MeasurementError
from bento_monitor.lab.model_host.answer_values import Answers
from bento_monitor.lab.statistics.flips import flip_drop_bound
from bento_monitor.lab.statistics.noninferiority import DropBound, Method, samples_for, score_drop_bound
from bento_monitor.lab.statistics.resampled import MAX_UNDEFINED_SHARE, resampled_drop_bound

from ..errors import StudyInputError
from .answers import take
from .groups import group_numbers, pool_by_group
from .metrics import Metric, Pooled, Scores
from .outputs import OutputReading, read
from .reading import read_labels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ROUNDS = 1000
# A user's function is called twice per round, and may be slow.
_FUNCTION_ROUNDS = 300
_TRIES, _FUNCTION_TRIES = 100, 10


@dataclass(frozen=True, slots=True)
class AccuracyResult:
    """Baseline and candidate on the same `n` samples.

    Attributes:
        baseline: the baseline's value, in the metric's own direction.
        candidate: the candidate's value.
        drop: how much worse the candidate is, for metrics of either direction.
        upper: the one-sided upper bound of the drop, at `confidence`.
        n: the number of samples, or of groups of samples that belong together.
        method: the statistical method of the bound.
        confidence: 1 - alpha.
        capped: the number of scores of both models that were capped for the bound.
        largest_loss: the most that one sample can lose, in the metric's own unit.
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
class Assessment:
    """The metric's value for one model on `n` samples or groups, and what determines how many a proof needs."""

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
    groups: NDArray[np.int64] | None = None,
    reference: Answers | None = None,
    seed: int = 0,
) -> AccuracyResult:
    """Compare two models' answers to the same samples, or to those of `rows`.

    With `groups`, the number of each sample's group, the bound is that of whole groups: samples of one group are not
    independent of each other. A metric without labels takes the answers `reference` as right (default: those of the
    baseline).

    Raises:
        StudyInputError: the answers do not fit the metric, are NaN, or leave no sample to score.
    """
    if len(baseline_answers) != len(candidate_answers):
        raise StudyInputError(
            f"There are {len(candidate_answers)} answers for {len(baseline_answers)} samples: give one answer per "
            "sample."
        )
    right = baseline_answers if reference is None else reference
    baseline = _evaluate(baseline_answers, right, labels, metric, reading, rows, groups)
    candidate = _evaluate(candidate_answers, right, labels, metric, reading, rows, groups)
    try:
        bound = _bound(baseline, candidate, metric, alpha, seed)
    except MeasurementError as error:
        raise StudyInputError(str(error)) from error
    sign = 1.0 if metric.is_higher_better else -1.0
    drop = sign * (baseline.value - candidate.value)
    capped = baseline.capped + candidate.capped
    return AccuracyResult(
        baseline=baseline.value,
        candidate=candidate.value,
        drop=drop,
        # A cap may hide a part of the drop: the bound is at least the observed drop.
        upper=max(bound.upper, drop) if capped else bound.upper,
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
    groups: NDArray[np.int64] | None = None,
) -> Assessment:
    """Evaluate the baseline's own answers; with `groups`, as in `compare_accuracy`.

    Raises:
        StudyInputError: the answers do not fit the metric, are NaN, or leave no sample to score; or the metric is
            undefined for them, or for too many resamples of them to compute a bound.
    """
    evaluated = _evaluate(answers, answers, labels, metric, reading, rows, groups)
    _require_defined(evaluated, metric)
    return Assessment(evaluated.value, evaluated.n, _largest_loss(evaluated), _method(evaluated), evaluated.capped)


def require_enough(
    n: int,
    metric: Metric,
    tolerance: float,
    assessment: Assessment,
    *,
    alpha: float = 0.05,
    share: float = 1.0,
    copies: int = 0,
    unit: str = "samples",
) -> None:
    """Refuse `n` samples if no result on them can prove a drop of at most `tolerance`, in the metric's own unit.

    `unit` is what is counted: samples, or groups of samples.

    `share` is the fraction of all samples that the `n` samples are; the message states the number of all samples.
    `copies` is the number of repeated samples, which do not count.

    Raises:
        StudyInputError: the samples are too few; the message has the smallest number that could be enough.
    """
    if tolerance <= 0:
        raise StudyInputError(
            f"No number of samples can prove a drop of at most {tolerance:g}: allow more by --max-drop."
        )
    least = samples_for(tolerance, largest_loss=assessment.largest_loss, alpha=alpha, method=assessment.method)
    if n < least:
        more = "answers flip" if assessment.method == "flips" else "answers differ"
        left_out = f" ({copies:,} copies of others not counted)" if copies else ""
        raise StudyInputError(
            f"{math.floor(n / share):,} {unit}{left_out} cannot prove {metric.name} at most {tolerance:.4g} worse: at "
            f"least {math.ceil(least / share):,} are needed, more if {more}. Give more data, or allow more by "
            "--max-drop."
        )


def _evaluate(
    answers: Answers,
    right: Answers,
    labels: NDArray[Any] | None,
    metric: Metric,
    reading: OutputReading,
    rows: NDArray[np.int64] | None,
    groups: NDArray[np.int64] | None,
) -> Scores | Pooled:
    import numpy as np

    if metric.needs_labels:
        if labels is not None and len(labels) != len(answers):
            raise StudyInputError(
                f"There are {len(answers)} answers for {len(labels)} labels: give one label per sample."
            )
        truth = read_labels(reading, labels, metric)
    else:
        truth = read(reading, right)
    values = read(reading, answers)
    values, truth = take(values, rows), take(truth, rows)
    if groups is None and metric.evaluate_groups is None:
        return metric.evaluate(values, truth, reading)
    own = np.arange(len(answers)) if groups is None else groups
    chosen = group_numbers(own if rows is None else own[rows])
    if metric.evaluate_groups is not None:
        return metric.evaluate_groups(values, truth, chosen)
    return pool_by_group(metric.evaluate(values, truth, reading), chosen)


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


def _require_defined(evaluated: Scores | Pooled, metric: Metric) -> None:
    import numpy as np

    n = evaluated.n
    if not math.isfinite(evaluated.value):
        raise StudyInputError(f"{metric.name} is undefined for these {n} samples: give samples of more classes.")
    if not isinstance(evaluated, Pooled):
        return
    generator = np.random.default_rng(0)
    rounds = _FUNCTION_TRIES if metric.family == "function" else _TRIES
    resamples = [generator.multinomial(n, np.full(n, 1 / n)) for _ in range(rounds)]
    undefined = sum(not math.isfinite(evaluated.score(counts)) for counts in resamples)
    if undefined > MAX_UNDEFINED_SHARE * rounds:
        raise StudyInputError(
            f"{metric.name} has no bound on {n} samples: it is undefined in {undefined} of {rounds} resamples. Give "
            "more samples of the rarest class."
        )


def _largest_loss(evaluated: Scores | Pooled) -> float:
    return evaluated.largest_loss if isinstance(evaluated, Pooled) else float(evaluated.largest_losses.max())


def _method(evaluated: Scores | Pooled) -> Method:
    if isinstance(evaluated, Pooled):
        return "bootstrap"
    return "flips" if evaluated.is_binary else "t"
