"""Populations with a known true drop, and samples drawn from them, on which `bench_accuracy` tests the bounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from accuracy.pooled import AlarmRecall, AlarmRecallDrop, AucDrop, F1Drop, Floats, Indices, WordErrorDrop
from scipy import special

from bento_monitor.lab.statistics import DropBound, flip_drop_bound, resampled_drop_bound, score_drop_bound

ROUNDS = 100  # a resample's standard error is 7 % off, which can only cost coverage; studies use 1,000

Bound = Callable[[int, Indices, float], DropBound]
exact_bound = lru_cache(maxsize=200_000)(flip_drop_bound)


@dataclass(frozen=True, slots=True)
class Draw:
    """Samples of one run: labels, each candidate's measured drop over given rows, and its bound at an alpha."""

    labels: Indices
    drop: Callable[[int, Indices], float]
    bound: Bound


class Population(Protocol):
    """Scores of a baseline and of candidates whose true drop is `drop`."""

    @property
    def largest_loss(self) -> float:
        """What the statistic falls by for each share of all samples that fails."""

    def draw(self, n: int, candidates: int, generator: np.random.Generator) -> Draw:
        """Draw `n` samples of a baseline and of `candidates` candidates, each with the same true drop."""


@dataclass(frozen=True)
class Flips:
    """Right and wrong answers: a share `lose` turns wrong, a share `gain` turns right."""

    lose: float
    gain: float
    largest_loss = 1.0

    def draw(self, n: int, candidates: int, generator: np.random.Generator) -> Draw:
        """Draw for each candidate separately whether a sample is lost, won or the same."""
        chance = generator.random((candidates, n))
        is_lost = chance < self.lose
        is_won = chance > 1 - self.gain

        def count(candidate: int, rows: Indices) -> tuple[int, int]:
            return int(is_lost[candidate, rows].sum()), int(is_won[candidate, rows].sum())

        return Draw(
            generator.integers(0, 3, n),
            lambda candidate, rows: float(np.subtract(*count(candidate, rows)) / len(rows)),
            lambda candidate, rows, alpha: exact_bound(*count(candidate, rows), len(rows), alpha=alpha),
        )


@dataclass(frozen=True)
class Scores:
    """Real scores from a beta distribution; `shape` says how candidates lose."""

    shape: str
    drop: float
    noise: float = 0.0
    largest_loss = 1.0

    def draw(self, n: int, candidates: int, generator: np.random.Generator) -> Draw:
        """Draw the baseline's scores, and each candidate's."""
        baseline = generator.beta(8, 2, n) if self.shape != "skewed" else np.ones(n)
        scores = [baseline - SHAPES[self.shape](self, baseline, generator) for _ in range(candidates)]

        def bound(candidate: int, rows: Indices, alpha: float) -> DropBound:
            before = baseline[rows]
            return score_drop_bound(before, scores[candidate][rows], largest_losses=before, alpha=alpha)

        return Draw(
            np.zeros(n, dtype=np.int64),
            lambda candidate, rows: float((baseline[rows] - scores[candidate][rows]).mean()),
            bound,
        )


MEAN_SCORE = 0.8  # of beta(8, 2)


def _all_lose_a_little(cell: Scores, baseline: Floats, generator: np.random.Generator) -> Floats:
    return generator.normal(cell.drop, cell.noise, len(baseline))


def _some_lose_all(cell: Scores, baseline: Floats, generator: np.random.Generator) -> Floats:
    is_lost = generator.random(len(baseline)) < cell.drop / MEAN_SCORE
    return np.where(is_lost, baseline, generator.normal(0, cell.noise, len(baseline)))


def _some_lose_half(cell: Scores, baseline: Floats, generator: np.random.Generator) -> Floats:
    is_lost = generator.random(len(baseline)) < 2 * cell.drop / MEAN_SCORE
    return np.where(is_lost, baseline / 2, generator.normal(0, cell.noise, len(baseline)))


def _one_percent_lose_all(cell: Scores, baseline: Floats, generator: np.random.Generator) -> Floats:
    """Let the other samples win or lose so that the true drop is `cell.drop`."""
    others = (cell.drop - 0.01 * MEAN_SCORE) / 0.99
    is_lost = generator.random(len(baseline)) < 0.01
    return np.where(is_lost, baseline, generator.normal(others, cell.noise, len(baseline)))


def _churn(cell: Scores, baseline: Floats, generator: np.random.Generator) -> Floats:
    """Let 6 % lose and 4 % gain as much, so that the true drop is that of 2 %."""
    chance = generator.random(len(baseline))
    size = cell.drop / 0.02
    return size * ((chance < 0.06).astype(np.float64) - (chance > 0.96))


def _skewed(cell: Scores, baseline: Floats, generator: np.random.Generator) -> Floats:
    return generator.beta(0.2, 0.2 * (1 - cell.drop) / cell.drop, len(baseline))


SHAPES: dict[str, Callable[[Scores, Floats, np.random.Generator], Floats]] = {
    "all_lose_a_little": _all_lose_a_little,
    "some_lose_all": _some_lose_all,
    "some_lose_half": _some_lose_half,
    "one_percent_lose_all": _one_percent_lose_all,
    "churn": _churn,
    "skewed": _skewed,
}


def _pooled(labels: Indices, drops: Callable[[int, Indices], Any], seed: int) -> Draw:
    """Return a draw with a pooled statistic; `drops(candidate, rows)` is a function of indices among the rows."""

    def bound(candidate: int, rows: Indices, alpha: float) -> DropBound:
        drop_of = drops(candidate, rows)
        return resampled_drop_bound(
            len(rows), drop_of, largest_loss=drop_of.largest_loss, alpha=alpha, seed=seed, rounds=ROUNDS
        )

    return Draw(labels, lambda candidate, rows: float(drops(candidate, rows)(np.arange(len(rows)))), bound)


@dataclass(frozen=True)
class Auc:
    """Normal scores of two classes; a share of class 1 falls below all others, and `noise` moves every score."""

    positive_share: float
    lost: float
    noise: float = 0.0
    distance = 2.0

    @property
    def largest_loss(self) -> float:
        """What AUC falls by for each share of all samples that fails, all of the rarer class."""
        return 1 / min(self.positive_share, 1 - self.positive_share)

    @property
    def drop(self) -> float:
        """The true drop of the binormal model (Hanley and McNeil 1982)."""
        before = special.ndtr(self.distance / np.sqrt(2))
        after = special.ndtr(self.distance / np.sqrt(2 + 2 * self.noise**2))
        return float(before - (1 - self.lost) * after)

    def draw(self, n: int, candidates: int, generator: np.random.Generator) -> Draw:
        """Draw the classes, the baseline's scores, and each candidate's."""
        labels = (generator.random(n) < self.positive_share).astype(np.int64)
        baseline = generator.normal(size=n) + self.distance * labels
        scores = []
        for _ in range(candidates):
            moved = baseline + self.noise * generator.normal(size=n)
            is_lost = (generator.random(n) < self.lost) & (labels == 1)
            scores.append(np.where(is_lost, moved - 1000, moved))
        return _pooled(
            labels,
            lambda candidate, rows: AucDrop(labels[rows], baseline[rows], scores[candidate][rows]),
            int(generator.integers(2**31)),
        )


@dataclass(frozen=True)
class F1:
    """Two classes; the baseline finds 90 % of class 1, with as many false positives. `gain` of the missed are found."""

    positive_share: float
    drop: float
    gain: float = 0.0
    recall = 0.9

    @property
    def largest_loss(self) -> float:
        """The slope of F1 when true positives are lost."""
        return (2 - self.recall) / (2 * self.positive_share)

    @property
    def lost(self) -> float:
        """The share of found positives that a candidate must lose for a true drop of `drop`."""
        found = self.positive_share * self.recall
        won = self.gain * self.positive_share * (1 - self.recall)
        target = self.recall - self.drop
        twice, involved = 2 * (found + won), 2 * self.positive_share + won
        return (twice - target * involved) / ((found + won) * (2 - target))

    def draw(self, n: int, candidates: int, generator: np.random.Generator) -> Draw:
        """Draw the classes, the baseline's answers, and each candidate's."""
        labels = (generator.random(n) < self.positive_share).astype(np.int64)
        wrong_calls = self.positive_share * (1 - self.recall) / (1 - self.positive_share)
        baseline = (generator.random(n) < np.where(labels == 1, self.recall, wrong_calls)).astype(np.int64)
        answers = []
        for _ in range(candidates):
            is_won = (labels == 1) & (baseline == 0) & (generator.random(n) < self.gain)
            found = np.where(is_won, 1, baseline)
            answers.append(np.where((labels == 1) & (generator.random(n) < self.lost), 0, found))
        return _pooled(
            labels,
            lambda candidate, rows: F1Drop(labels[rows], baseline[rows], answers[candidate][rows]),
            int(generator.integers(2**31)),
        )


@dataclass(frozen=True)
class WordErrors:
    """Utterances with a geometric number of words; the baseline gets 10 % of the words wrong.

    A candidate gets a share `spoiled` of the right words wrong, a share `mended` of the wrong words right, and a share
    `lost` of utterances wholly wrong.
    """

    spoiled: float = 0.0
    mended: float = 0.0
    lost: float = 0.0
    largest_loss = 4.0  # the longest of a few hundred utterances over the mean length

    def draw(self, n: int, candidates: int, generator: np.random.Generator) -> Draw:
        """Draw the words, the baseline's errors, and each candidate's."""
        words = np.minimum(generator.geometric(0.1, n), 50)
        before = generator.binomial(words, 0.1)
        errors = []
        for _ in range(candidates):
            after = before - generator.binomial(before, self.mended) + generator.binomial(words - before, self.spoiled)
            errors.append(np.where(generator.random(n) < self.lost, words, after))
        return _pooled(
            np.zeros(n, dtype=np.int64),
            lambda candidate, rows: WordErrorDrop(words[rows], before[rows], errors[candidate][rows]),
            int(generator.integers(2**31)),
        )


@dataclass(frozen=True)
class Alarms:
    """Machines that run until they fail; the healthy windows of one machine are alike.

    A candidate misses a share `lost` of the failures, and `noise` moves each of its scores.
    """

    lost: float
    noise: float = 0.0
    largest_loss = 1.0
    windows = 40
    false_alarms_per_life = 0.6
    distance = 3.7
    likeness = 0.5

    @property
    def drop(self) -> float:
        """The true drop of recall, at the thresholds of very many lives."""
        return self._recall(0.0) - (1 - self.lost) * self._recall(self.noise)

    def _recall(self, noise: float) -> float:
        threshold = float(special.ndtri(1 - self.false_alarms_per_life / self.windows))
        threshold *= (1 + self.likeness**2 + noise**2) ** 0.5
        return float(special.ndtr((self.distance - threshold) / (1 + noise**2) ** 0.5))

    def draw(self, n: int, candidates: int, generator: np.random.Generator) -> Draw:
        """Draw the scores of the baseline, and of each candidate."""
        healthy = generator.normal(0, 1, (n, self.windows)) + generator.normal(0, self.likeness, (n, 1))
        best = generator.normal(self.distance, 1, n)
        found = []
        for _ in range(candidates):
            moved = np.where(generator.random(n) < self.lost, -np.inf, best + generator.normal(0, self.noise, n))
            found.append((healthy + generator.normal(0, self.noise, healthy.shape), moved))
        per_life = self.false_alarms_per_life

        def drops(candidate: int, rows: Indices) -> AlarmRecallDrop:
            own_healthy, own_best = found[candidate]
            return AlarmRecallDrop(
                len(rows),
                AlarmRecall(healthy[rows], best[rows], per_life),
                AlarmRecall(own_healthy[rows], own_best[rows], per_life),
            )

        return _pooled(np.zeros(n, dtype=np.int64), drops, int(generator.integers(2**31)))
