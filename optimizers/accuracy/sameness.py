"""Whether served answers come from the expected model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bento_monitor.lab.model_host.answer_values import Answers, as_answers

from ..errors import StudyInputError
from .answers import shown, take
from .different_rows import largest_change, numbers_differ, vectors_differ, why_another_model
from .outputs import CLASS_LIKE, PROBABILITIES, OutputReading, predicted, read
from .raw_answers import differ_beside_numbers, numbers_of, skeleton_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Newly composed batches flip answers near a decision boundary; at least this share is always allowed.
_MIN_FLIP_SHARE = 0.002
_FALSE_ALARMS = 1e-5


@dataclass(frozen=True, slots=True)
class ServedVerdict:
    """Which served answers are wrong, and whether they come from the expected model nevertheless.

    Attributes:
        wrong: positions of wrong answers among the judged answers.
        is_same_model: whether the wrong answers are within the allowance of the accuracy check.
        sentence: the verdict in words.
    """

    wrong: tuple[int, ...]
    is_same_model: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class AnswerCheck:
    """Judges served answers by the same artifact's own answers to all samples.

    Attributes:
        reading: how answers are read.
        reference: the artifact's own answers to all samples.
        accepted_flip_share: the share of samples whose class may flip, as measured by the accuracy check.
    """

    reading: OutputReading
    reference: Answers
    accepted_flip_share: float = 0.0

    def judge(self, served: Sequence[tuple[int, Any]]) -> ServedVerdict:
        """Judge answers, each with the sample that it answers.

        An answer is wrong if its class or text differs (a sentence in more than half of its words), if its vector's
        cosine or norm deviates too much, or if its numbers deviate by more than a quarter of the distance between two
        samples' answers. Wrong answers are accepted up to a binomial allowance for the accepted share of flips. They
        are counted by sample, since a load repeats samples. Answers of another model are never accepted: they are no
        nearer to their own samples' answers than to others', miss the rarer classes, or have another scale.
        """
        import numpy as np

        if not served:
            return ServedVerdict((), False, "No served answer was kept, so none could be checked.")
        samples = [sample for sample, _ in served]
        each = [self._read(answer) for _, answer in served]
        unreadable = [at for at, found in enumerate(each) if found is None]
        if unreadable:
            sample, answer = served[unreadable[0]]
            return ServedVerdict(
                tuple(unreadable),
                False,
                f"{len(unreadable)} of {len(served)} served answers cannot be read as {self.reading.description}: "
                f"sample {sample} was answered with {shown(answer)}.",
            )
        with np.errstate(over="ignore"):  # a far too large number is judged wrong; numpy's warning adds nothing
            wrong, reason = self._compare(samples, each)
        return self._verdict(samples, wrong, reason)

    def _read(self, answer: Any) -> Any:
        """Return one answer as the reading's array `(1, ...)`, or a raw answer in a list; None if it cannot be read.

        Answers are read one by one, since answers of several types, such as True and 1, do not form an array.
        """
        import numpy as np

        if self.reading.kind == "raw":
            return [answer]
        try:
            found = read(self.reading, as_answers([answer]))
        except StudyInputError:
            return None
        is_alike = found.shape[1:] == read(self.reading, take(self.reference, np.array([0]))).shape[1:]
        return found if is_alike else None

    def _compare(self, samples: list[int], each: list[Any]) -> tuple[NDArray[np.bool_], str | None]:
        """Return which answers are wrong, and why they come from another model, or None."""
        import numpy as np

        if self.reading.kind == "raw":
            return self._compare_raw(samples, [answer for (answer,) in each])
        own = read(self.reading, self.reference)
        found = np.concatenate(each)
        expected = own[np.array(samples)]
        wrong = np.zeros(len(samples), dtype=bool)
        reason = None
        if self.reading.kind in CLASS_LIKE or self.reading.kind == "text":
            wrong, reason = _compare_classes(self.reading, samples, expected, found)
        if self.reading.kind not in ("classes", "text", "multilabel"):
            limit = largest_change(own, is_bounded=self.reading.kind in PROBABILITIES)
            if self.reading.kind == "vector" and own.shape[1] > 1:
                wrong |= vectors_differ(own, expected, found)
            else:
                wrong |= numbers_differ(expected, found, limit)
            reason = reason or why_another_model(own, np.array(samples), found, limit)
        return wrong, reason

    def _compare_raw(self, samples: list[int], answers: list[Any]) -> tuple[NDArray[np.bool_], str | None]:
        import numpy as np

        expected = [self.reference[sample] for sample in samples]
        wrong = np.array([differ_beside_numbers(*pair) for pair in zip(expected, answers, strict=True)])
        fixed = np.array([skeleton_of(each) for each in expected])
        reason = _why_other_values(samples, fixed, wrong)
        every = [numbers_of(each) for each in self.reference]
        width = len(every[0])
        if width and all(len(each) == width for each in every) and not wrong.all():
            same = np.flatnonzero(~wrong)
            own = np.array(every)
            found = np.array([numbers_of(answers[at]) for at in same])
            rows = np.array(samples)[same]
            limit = largest_change(own, is_bounded=False)
            wrong[same] = numbers_differ(own[rows], found, limit)
            reason = reason or why_another_model(own, rows, found, limit)
        else:
            for at in np.flatnonzero(~wrong):
                left, right = np.array(numbers_of(expected[at])), np.array(numbers_of(answers[at]))
                wrong[at] = not np.allclose(left, right, rtol=0.05, atol=0.05 * float(np.abs(left).max(initial=0.0)))
        return wrong, reason

    def _verdict(self, samples: list[int], wrong: NDArray[np.bool_], reason: str | None) -> ServedVerdict:
        import numpy as np
        from scipy import stats

        unique, inverse, counts = np.unique(samples, return_inverse=True, return_counts=True)
        wrong_samples = float((np.bincount(inverse.reshape(-1), weights=wrong) / counts).sum())
        share = max(self.accepted_flip_share, _MIN_FLIP_SHARE)
        allowed = int(stats.binom.isf(_FALSE_ALARMS, len(unique), share))
        # Rounding never changes a fifth of the samples.
        allowed = min(allowed, max(1, len(unique) // 5))
        indices = tuple(int(at) for at in np.flatnonzero(wrong))
        counted = f"{len(indices)} of {len(samples)} served answers differ from the model's own"
        if reason is not None:
            return ServedVerdict(indices, False, f"{counted}: {reason}.")
        if wrong_samples > allowed:
            return ServedVerdict(
                indices, False, f"{counted}, for {wrong_samples:.3g} of {len(unique)} samples; {allowed} may differ."
            )
        if len(unique) == 1 and indices:
            return ServedVerdict(indices, False, f"{counted}, and no other sample was checked.")
        return ServedVerdict(indices, True, f"{counted}; {allowed} of {len(unique)} samples may differ.")


def _compare_classes(
    reading: OutputReading, samples: list[int], expected: NDArray[Any], found: NDArray[Any]
) -> tuple[NDArray[np.bool_], str | None]:
    import numpy as np

    if reading.kind == "text":
        wrong = np.array([differ_beside_numbers(*pair) for pair in zip(expected, found, strict=True)])
        return wrong, _why_other_values(samples, expected, wrong)
    left, right = predicted(reading, expected), predicted(reading, found)
    if left.ndim > 1:
        left, right = (np.array([row.tobytes().hex() for row in rows]) for rows in (left, right))
    wrong = np.asarray(left != right)
    return wrong, _why_other_values(samples, left, wrong)


def _why_other_values(samples: list[int], expected: NDArray[Any], wrong: NDArray[np.bool_]) -> str | None:
    """Return why the values come from another model, or None.

    A model that gives only the most frequent value is another model. This is counted by sample: a sample near a
    decision boundary that the load repeats many times says nothing about other samples.
    """
    import numpy as np

    values, counts = np.unique(expected, return_counts=True)
    is_rarer = expected != values[counts.argmax()]
    _, asked, times = np.unique(np.array(samples)[is_rarer], return_inverse=True, return_counts=True)
    shares = np.bincount(asked.reshape(-1), weights=wrong[is_rarer], minlength=len(times)) / times
    if len(shares) > 1 and shares.mean() > 0.5:
        return f"{int((shares > 0.5).sum())} of the {len(shares)} samples without the most frequent answer are wrong"
    return None
