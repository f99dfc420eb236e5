"""Metrics of transcripts, with jiwer's names and values; texts are compared without normalization."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from ...errors import StudyInputError
from ..answers import shown
from ..outputs import OutputReading
from ._base import Metric, Pooled, require_extra

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_CAP = "an utterance's error rate is capped at 1"


def _evaluate(answers: NDArray[Any], labels: NDArray[Any], _reading: OutputReading, *, by_words: bool) -> Pooled:
    import jiwer
    import numpy as np

    if labels.dtype.kind != "U" or labels.ndim != 1:
        raise StudyInputError(
            f"An error rate needs a text as each label, but the first label is {shown(labels[0].tolist())}: give the "
            "correct transcripts."
        )
    empty = [row for row, label in enumerate(labels) if not str(label).strip()]
    if empty:
        raise StudyInputError(f"The label of sample {empty[0]} is empty: give its transcript, or leave the sample out.")
    process = jiwer.process_words if by_words else jiwer.process_characters
    found = process(labels.tolist(), answers.tolist())
    lengths = np.array([len(reference) for reference in found.references], dtype=np.float64)
    errors = np.array([_count(alignment) for alignment in found.alignments], dtype=np.float64)
    limited = np.minimum(errors, lengths)

    def score(counts: NDArray[np.int64]) -> float:
        return -float(counts @ limited / (counts @ lengths))

    value = float(errors.sum() / lengths.sum())
    capped = int((errors > lengths).sum())
    # The error rate of an utterance beyond the cap can still grow.
    losses = lengths if capped else lengths - limited
    return Pooled(len(labels), value, score, float(losses.max() / lengths.mean()), capped)


def _count(alignment: Any) -> int:
    """Count the substituted, deleted and inserted units: words for wer, characters for cer."""
    return sum(
        max(chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx)
        for chunk in alignment
        if chunk.type != "equal"
    )


def _make(name: str, *, by_words: bool) -> Metric:
    require_extra("jiwer", name)
    return Metric(name, "text", False, "U", partial(_evaluate, by_words=by_words), _CAP)


METRICS: dict[str, Callable[[], Metric]] = {
    "wer": partial(_make, "wer", by_words=True),
    "cer": partial(_make, "cer", by_words=False),
}
