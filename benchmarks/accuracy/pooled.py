"""ROC AUC, F1, word error rate and recall at fixed alarms over resamples: sorting is done once for all of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
Floats = NDArray[np.float64]


class ResampledAuc:
    """ROC AUC of the samples at given indices, as scikit-learn's `roc_auc_score`; NaN if a class is missing."""

    def __init__(self, labels: Indices, scores: Floats) -> None:
        self._order = np.argsort(scores, kind="stable")
        self._is_positive = labels[self._order].astype(np.float64)
        ordered = scores[self._order]
        starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        self._ties = starts if len(starts) < len(scores) else None

    def of(self, counts: Indices) -> float:
        """Return the AUC of a resample that holds sample i `counts[i]` times."""
        weights = counts[self._order].astype(np.float64)
        positive = weights * self._is_positive
        negative = weights - positive
        if self._ties is not None:
            positive, negative = np.add.reduceat(positive, self._ties), np.add.reduceat(negative, self._ties)
        below = np.cumsum(negative)
        pairs = positive.sum() * below[-1]
        return float(positive @ (below - negative / 2)) / pairs if pairs else float("nan")


class AucDrop:
    """How much ROC AUC a candidate loses over the samples at given indices."""

    def __init__(self, labels: Indices, baseline: Floats, candidate: Floats) -> None:
        self._n = len(labels)
        self._baseline, self._candidate = ResampledAuc(labels, baseline), ResampledAuc(labels, candidate)
        rarer = min(labels.mean(), 1 - labels.mean())
        # All failing samples may be of the rarer class.
        self.largest_loss = float(1 / rarer) if rarer else 1.0

    def __call__(self, indices: Indices) -> float:
        """Baseline less candidate."""
        counts = np.bincount(indices, minlength=self._n)
        return self._baseline.of(counts) - self._candidate.of(counts)


class F1Drop:
    """How much F1 of class 1 a candidate loses over the samples at given indices."""

    def __init__(self, labels: Indices, baseline: Indices, candidate: Indices) -> None:
        self._codes = labels * 4 + baseline * 2 + candidate
        involved = int(labels.sum() + baseline.sum())
        score = f1_score(self._table(np.arange(len(labels))))[0]
        # The slope of F1 when true positives turn into false negatives.
        self.largest_loss = float((2 - score) * len(labels) / involved) if involved else 1.0

    def __call__(self, indices: Indices) -> float:
        """Baseline less candidate."""
        baseline, candidate = f1_score(self._table(indices))
        return baseline - candidate

    def _table(self, indices: Indices) -> Indices:
        return np.bincount(self._codes[indices], minlength=8).reshape(2, 2, 2)


def f1_score(table: Indices) -> tuple[float, float]:
    """Return F1 of baseline and candidate from counts by label, baseline and candidate, `(2, 2, 2) int64`.

    0 if nothing is positive or predicted as positive, as scikit-learn's `f1_score` with `zero_division=0`.
    """
    positives = table[1].sum()
    scores = []
    for called, right in ((table[:, 1, :].sum(), table[1, 1, :].sum()), (table[:, :, 1].sum(), table[1, :, 1].sum())):
        scores.append(2 * float(right) / float(positives + called) if positives + called else 0.0)
    return scores[0], scores[1]


class WordErrorDrop:
    """How much higher a candidate's word error rate is, over all words of the utterances at given indices."""

    def __init__(self, words: Indices, baseline_errors: Indices, candidate_errors: Indices) -> None:
        self._words = words
        self._added = candidate_errors - baseline_errors
        # An utterance is capped at 1: as many errors as words.
        self.largest_loss = float((words - baseline_errors).max() / words.mean())

    def __call__(self, indices: Indices) -> float:
        """Candidate less baseline, since a lower rate is better."""
        return float(self._added[indices].sum() / self._words[indices].sum())


class AlarmRecall:
    """The share of lives with an alarm in time, at a number of false alarms for each life, over resampled lives.

    `healthy` `(n, windows)` are scores before the onset of wear, `best` `(n,)` is the highest score after it, in time.
    """

    def __init__(self, healthy: Floats, best: Floats, false_alarms_per_life: float) -> None:
        lives, windows = healthy.shape
        order = np.argsort(-healthy, axis=None, kind="stable")
        self._scores = healthy.ravel()[order]
        self._lives = np.repeat(np.arange(lives), windows)[order]
        self._best = best
        self._per_life = false_alarms_per_life

    def of(self, counts: Indices) -> float:
        """Return the recall of a resample that holds life i `counts[i]` times."""
        allowed = int(self._per_life * counts.sum())
        # The highest healthy score that would be one false alarm too many.
        place = int(np.searchsorted(np.cumsum(counts[self._lives]), allowed, side="right"))
        threshold = self._scores[place] if place < len(self._scores) else -np.inf
        return float(counts @ (self._best > threshold) / counts.sum())


class AlarmRecallDrop:
    """How much recall at fixed alarms a candidate loses over the lives at given indices."""

    largest_loss = 1.0

    def __init__(self, lives: int, baseline: AlarmRecall, candidate: AlarmRecall) -> None:
        self._lives = lives
        self._baseline, self._candidate = baseline, candidate

    def __call__(self, indices: Indices) -> float:
        """Baseline less candidate."""
        counts = np.bincount(indices, minlength=self._lives)
        return self._baseline.of(counts) - self._candidate.of(counts)
