"""How accuracy is measured in a study: the metric, how answers and labels are read, and what may be lost."""

from __future__ import annotations

from dataclasses import dataclass
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

# Finalists whose accuracy may be tried on the proof's samples: each has its share of the 5 % of wrong bounds.
MOST_PROVED = 2
ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Yardstick:
    """Measures a candidate's answers to all samples against the baseline's.

    `notes` are what a person should know of it: how answers are read, and whether the baseline is at chance level.
    """

    metric: Metric
    reading: OutputReading
    labels: NDArray[Any] | None
    baseline: Answers
    tolerance: Tolerance
    notes: tuple[str, ...]

    def compare(self, candidate: Answers, rows: NDArray[np.int64], *, alpha: float, seed: int) -> AccuracyResult:
        """The candidate against the baseline on some of the samples.

        Raises:
            StudyInputError: the candidate's answers do not fit the metric, or are not finite.
        """
        return compare_accuracy(
            self.baseline, candidate, self.labels, self.metric, self.reading, alpha=alpha, rows=rows, seed=seed
        )

    def is_kept(self, result: AccuracyResult) -> bool:
        """Whether the bound of a drop is within the tolerance."""
        return result.upper <= self.tolerance.absolute(result.baseline)

    def is_more_accurate(self, left: Answers, right: Answers, rows: NDArray[np.int64], seed: int) -> bool:
        """Whether the paired interval of two candidates says that the left one is better."""
        found = compare_accuracy(
            right, left, self.labels, self.metric, self.reading, alpha=ALPHA / 2, rows=rows, seed=seed
        )
        return found.upper < 0

    def check_of(self, artifact: Answers, alone: Answers, rows: NDArray[np.int64]) -> AnswerCheck:
        """What tells whether served answers are those of an artifact.

        `artifact` are its own answers to all samples in company, `alone` those to `rows` without. As many served
        answers may flip as did from the baseline to the artifact, or from alone to company if those are more.
        """
        by_batching = flip_share(self.reading, alone, take(artifact, rows))
        accepted = max(flip_share(self.reading, self.baseline, artifact), by_batching)
        return AnswerCheck(self.reading, artifact, accepted)

    def dependence(self, alone: Answers, batched: Answers) -> BatchDependence:
        """How far company moves an answer."""
        return batch_dependence(self.reading, alone, batched)

    def describe(self, result: AccuracyResult) -> str:
        """A result in words: the value, and the most that it may be worse."""
        worse = "lower" if self.metric.is_higher_better else "higher"
        return f"{self.metric.name} {result.candidate:.4f}, at most {result.upper:.4f} {worse}"


def make_yardstick(spec: StudySpec, subject: StudySubject, baseline: Answers) -> Yardstick:
    """Read the baseline's answers, and refuse what no proof could come of.

    Raises:
        StudyInputError: it cannot be told what an answer is, there are too few samples for the tolerance, or the
            baseline does not reach --min-accuracy.
    """
    metric, labels = subject.metric, subject.labels
    reading = choose_reading(baseline, labels, metric, spec.output)
    reached = assess(baseline, labels, metric, reading).value
    _require_accuracy(spec.min_accuracy, metric, reached)
    share = 0.5 if spec.prove_data is None else 1.0
    for rows in (subject.choosing, subject.proving):
        worth = assess(baseline, labels, metric, reading, rows=rows)
        tolerance = spec.max_drop.absolute(worth.value)
        require_enough(worth.n, metric, tolerance, worth, alpha=ALPHA / MOST_PROVED, share=share, copies=subject.copies)
    chance = chance_note(reached, labels, metric, reading)
    accepted = spec.max_drop.describe(metric, reached)
    notes = [
        f"{len(subject.choosing)} samples to choose on and {len(subject.proving)} others to prove on, {subject.form}",
        f"an answer is read as {reading.description}",
        f"the baseline's {metric.name} is {reached:.4f}; accepted is {accepted}",
        *([f"{subject.copies} samples repeat another's request and label, and count once"] if subject.copies else []),
        *(each for each in (metric.cap, chance, subject.subject.interface.note) if each),
    ]
    return Yardstick(metric, reading, labels, baseline, spec.max_drop, tuple(notes))


def _require_accuracy(least: float | None, metric: Metric, reached: float) -> None:
    if least is None or (reached >= least if metric.is_higher_better else reached <= least):
        return
    worse = "less" if metric.is_higher_better else "more"
    raise StudyInputError(
        f"The baseline itself reaches {metric.name} = {reached:.4f}, {worse} than --min-accuracy {least}: ask for "
        f"{worse}, or use other data."
    )
