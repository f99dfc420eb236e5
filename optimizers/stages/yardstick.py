"""How accuracy is measured in a study: the metric, the reading of answers and labels, and the tolerance."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bento_monitor.lab.model_host.answer_values import Answers

from ..accuracy.answers import take
from ..accuracy.batch_dependence import BatchDependence, batch_dependence, flip_share
from ..accuracy.chance import chance_note
from ..accuracy.compare import AccuracyResult, assess, compare_accuracy, require_enough
from ..accuracy.metrics import Metric
from ..accuracy.outputs import OutputReading
from ..accuracy.reading import choose_reading
from ..accuracy.sameness import AnswerCheck
from ..accuracy.tolerance import Tolerance
from ..errors import StudyInputError
from ..study_spec import StudySpec
from .subject import StudySubject

# The number of finalists that may be proved; they share the 5 % error probability of the bound.
MAX_PROVED = 2
ALPHA = 0.05
_SURE_ALPHA = 0.01


@dataclass(frozen=True, slots=True)
class Yardstick:
    """Measures a candidate's answers to all samples against the baseline's.

    `notes` are sentences for the user, such as how answers are read and whether the baseline is at chance level.
    """

    metric: Metric
    reading: OutputReading
    labels: NDArray[Any] | None
    groups: NDArray[np.int64] | None
    baseline: Answers
    tolerance: Tolerance
    notes: tuple[str, ...]

    def compare(self, candidate: Answers, rows: NDArray[np.int64], *, alpha: float, seed: int) -> AccuracyResult:
        """Compare the candidate with the baseline on some of the samples.

        Raises:
            StudyInputError: the candidate's answers do not fit the metric, or are not finite.
        """
        return self._compare(self.baseline, candidate, rows, alpha, seed)

    def proved_worse(self, candidate: Answers, rows: NDArray[np.int64], *, seed: int) -> AccuracyResult | None:
        """Compare answers to `rows` alone; return the result only if the drop is surely beyond the tolerance.

        Few samples show it for a model that is ruined. A metric that is undefined for them shows nothing.

        Raises:
            StudyInputError: the candidate's answers do not fit the metric, or are not finite.
        """
        few = replace(
            self,
            labels=None if self.labels is None else self.labels[rows],
            groups=None if self.groups is None else self.groups[rows],
            baseline=take(self.baseline, rows),
        )
        every = np.arange(len(rows))
        try:
            assess(few.baseline, few.labels, self.metric, self.reading, groups=few.groups)
        except StudyInputError:
            return None
        result = few.compare(candidate, every, alpha=ALPHA, seed=seed)
        is_surely_worse = few.least_drop(candidate, every, seed=seed) > self.tolerance.absolute(result.baseline)
        return result if is_surely_worse else None

    def least_drop(self, candidate: Answers, rows: NDArray[np.int64], *, seed: int) -> float:
        """Return a lower bound of the candidate's drop, at 99 %."""
        return -self._compare(candidate, self.baseline, rows, _SURE_ALPHA, seed).upper

    def is_kept(self, result: AccuracyResult) -> bool:
        """Whether the upper bound of the drop is within the tolerance."""
        return result.upper <= self.tolerance.absolute(result.baseline)

    def is_more_accurate(self, left: Answers, right: Answers, rows: NDArray[np.int64], seed: int) -> bool:
        """Whether the paired confidence interval of two candidates shows that the left one is more accurate."""
        return self._compare(right, left, rows, ALPHA / 2, seed).upper < 0

    def check_of(self, artifact: Answers, alone: Answers, rows: NDArray[np.int64]) -> AnswerCheck:
        """Return the check that served answers come from an artifact.

        `artifact` holds the artifact's answers to all samples in randomly composed batches, `alone` its answers to
        `rows` in batches of one. The accepted share of differing answers is the larger of two: that of flips between
        baseline and artifact, and that of wrong answers if those in batches of one were served ones.
        """
        of_batches = AnswerCheck(self.reading, artifact).judge(list(zip(rows.tolist(), alone, strict=True)))
        flipped = flip_share(self.reading, self.baseline, artifact)
        return AnswerCheck(self.reading, artifact, max(flipped, len(of_batches.wrong) / len(rows)))

    def _compare(
        self, before: Answers, after: Answers, rows: NDArray[np.int64], alpha: float, seed: int
    ) -> AccuracyResult:
        return compare_accuracy(
            before,
            after,
            self.labels,
            self.metric,
            self.reading,
            alpha=alpha,
            rows=rows,
            groups=self.groups,
            reference=self.baseline,
            seed=seed,
        )

    def dependence(self, alone: Answers, batched: Answers) -> BatchDependence:
        """Return how much the composition of a batch changes answers."""
        return batch_dependence(self.reading, alone, batched)

    def describe(self, result: AccuracyResult) -> str:
        """Return a result in words: the value, and the upper bound of its drop."""
        worse = "lower" if self.metric.is_higher_better else "higher"
        return f"{self.metric.name} {result.candidate:.4f}, at most {result.upper:.4f} {worse}"


def make_yardstick(spec: StudySpec, subject: StudySubject, baseline: Answers) -> Yardstick:
    """Read the baseline's answers, and refuse data with which nothing can be proved.

    Raises:
        StudyInputError: the kind of the answers cannot be determined, there are too few samples for the tolerance, or
            the baseline does not reach --min-accuracy.
    """
    metric, labels = subject.metric, subject.labels
    reading = choose_reading(baseline, labels, metric, spec.output)
    groups = subject.groups
    reached = assess(baseline, labels, metric, reading, groups=groups).value
    _require_accuracy(spec.min_accuracy, metric, reached)
    share = 0.5 if spec.prove_data is None else 1.0
    for rows in (subject.choosing, subject.proving):
        found = assess(baseline, labels, metric, reading, rows=rows, groups=groups)
        tolerance = spec.max_drop.absolute(found.value)
        unit, copies = ("samples", subject.copies) if groups is None else ("groups of samples", 0)
        require_enough(
            found.n, metric, tolerance, found, alpha=ALPHA / MAX_PROVED, share=share, copies=copies, unit=unit
        )
    chance = chance_note(reached, labels, metric, reading)
    accepted = spec.max_drop.describe(metric, reached)
    notes = [
        f"{len(subject.choosing)} samples to choose on and {len(subject.proving)} others to prove on, {subject.form}",
        f"an answer is read as {reading.description}",
        f"the baseline's {metric.name} is {reached:.4f}; accepted: {accepted}",
        *_group_notes(subject),
        *([f"{subject.copies} samples repeat another's request and label: not counted"] if subject.copies else []),
        *(each for each in (metric.cap, chance, subject.subject.interface.note) if each),
    ]
    return Yardstick(metric, reading, labels, groups, baseline, spec.max_drop, tuple(notes))


def _group_notes(subject: StudySubject) -> list[str]:
    if subject.groups is None:
        return []
    choosing, proving = (len(np.unique(subject.groups[rows])) for rows in (subject.choosing, subject.proving))
    return [f"samples of a group count as one: {choosing} groups to choose on and {proving} others to prove on"]


def _require_accuracy(least: float | None, metric: Metric, reached: float) -> None:
    if least is None or (reached >= least if metric.is_higher_better else reached <= least):
        return
    worse = "lower" if metric.is_higher_better else "higher"
    raise StudyInputError(
        f"The baseline itself reaches {metric.name} = {reached:.4f}, {worse} than --min-accuracy {least}: set a "
        f"{worse} --min-accuracy, or use other data."
    )
