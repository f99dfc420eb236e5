"""The cells of `bench_accuracy`: which population, how many samples, which tolerance."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from accuracy.draws import F1, Alarms, Auc, Flips, Population, Scores, WordErrors
from scipy import optimize

from bento_monitor.lab.statistics import samples_for

SIZES = (50, 200, 1000, 5000)
FLIP_RUNS, SCORE_RUNS, MIN_RUNS = 40_000, 8_000, 4_000
CANDIDATES, FINALISTS = 6, 2
ALPHA = 0.05
# Tolerances, in units of the smallest that the sample count can prove: the first cannot be proved.
REACHES = (0.95, 1.3, 6.0)
MAX_TOLERANCE = 0.3
POWER_FACTOR = 3
Kind = Literal["bound", "procedure", "power", "procedure_power"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One population, sampled `runs` times; in "bound" and "procedure" its true drop is exactly the tolerance."""

    kind: Kind
    name: str
    population: Population
    n: int
    tolerance: float
    runs: int

    @property
    def is_wrong(self) -> bool:
        """Whether accepting is wrong here."""
        return self.kind in ("bound", "procedure")


def all_cells() -> list[Cell]:
    """Return every cell, the slowest first."""
    cells = [*_flip_cells(), *_score_cells(), *_pooled_cells(), *_alarm_cells(), *_procedure_cells(), *_power_cells()]
    return sorted(
        cells, key=lambda cell: -cell.n * cell.runs * (1 if isinstance(cell.population, Flips | Scores) else 30)
    )


def _tolerances(n: int, largest_loss: float, reaches: tuple[float, ...] = REACHES) -> Iterator[float]:
    for reach in reaches:
        tolerance = reach * -math.log(ALPHA) * largest_loss / n
        if tolerance <= MAX_TOLERANCE:
            yield tolerance


def _flip_cells() -> Iterator[Cell]:
    for n in SIZES:
        for tolerance in _tolerances(n, 1.0):
            for gain in (0.0, tolerance, 0.1, 0.3):
                if tolerance + 2 * gain <= 1:
                    population = Flips(tolerance + gain, gain)
                    yield Cell("bound", f"flips, {gain:.3g} gain", population, n, tolerance, FLIP_RUNS)
        yield Cell("bound", "flips, 6 % lose and 4 % gain", Flips(0.06, 0.04), n, 0.02, FLIP_RUNS)
        yield Cell("bound", "flips, 1 % lose", Flips(0.01, 0), n, 0.01, FLIP_RUNS)


def _score_cells() -> Iterator[Cell]:
    for n in SIZES:
        for tolerance in _tolerances(n, 1.0):
            for shape, noise in (
                ("all_lose_a_little", 0.05),
                ("some_lose_all", 0.0),
                ("some_lose_all", 0.05),
                ("some_lose_half", 0.0),
                ("skewed", 0.0),
            ):
                population = Scores(shape, tolerance, noise)
                yield Cell("bound", f"scores, {shape}, noise {noise:g}", population, n, tolerance, SCORE_RUNS)
        for drop, noise in ((0.008, 0.0), (0.008, 0.05), (0.004, 0.01), (0.012, 0.02)):
            population = Scores("one_percent_lose_all", drop, noise)
            yield Cell("bound", f"scores, 1 % lose all, noise {noise:g}", population, n, drop, SCORE_RUNS)
        for drop in (0.002, 0.01):
            yield Cell("bound", "scores, 6 % lose and 4 % gain", Scores("churn", drop), n, drop, SCORE_RUNS)


def auc_with_drop(positive_share: float, drop: float, noise: float) -> Auc:
    """Return scores that lose enough, in addition to the noise, for the given true drop."""

    def missing(lost: float) -> float:
        return Auc(positive_share, lost, noise).drop - drop

    return Auc(positive_share, float(optimize.brentq(missing, 0.0, 1.0)), noise)


def noisy_auc(positive_share: float, drop: float) -> Auc:
    """Return scores with enough noise for the given true drop."""

    def missing(noise: float) -> float:
        return Auc(positive_share, 0.0, noise).drop - drop

    return Auc(positive_share, 0.0, float(optimize.brentq(missing, 0.0, 100.0)))


def noisy_alarms(drop: float) -> Alarms:
    """Return scores with enough noise for the given true drop of recall."""

    def missing(noise: float) -> float:
        return Alarms(0.0, noise).drop - drop

    return Alarms(0.0, float(optimize.brentq(missing, 0.0, 100.0)))


def _alarm_cells() -> Iterator[Cell]:
    lost_of_found = 1 / (Alarms(1.0).drop)
    for n in SIZES[:-1]:
        for tolerance in _tolerances(n, 1.0, REACHES[1:]):
            for name, population in (
                ("lives lost", Alarms(tolerance * lost_of_found)),
                ("noise", noisy_alarms(tolerance)),
            ):
                yield Cell("bound", f"recall at fixed alarms, {name}", population, n, tolerance, MIN_RUNS)


def _pooled_cells() -> Iterator[Cell]:
    for n in SIZES:
        is_large = n == SIZES[-1]  # each cell takes a minute
        reaches = REACHES[2:] if is_large else REACHES[1:]
        for share in (0.5,) if is_large else (0.5, 0.1):
            for tolerance in _tolerances(n, 1 / share, reaches):
                for name, scores in (
                    ("noise", noisy_auc(share, tolerance)),
                    ("some lost", auc_with_drop(share, tolerance, 0.0)),
                ):
                    yield Cell("bound", f"AUC, {share:g}, {name}", scores, n, tolerance, MIN_RUNS)
            for tolerance in _tolerances(n, F1(share, 0.0).largest_loss, reaches):
                for gain in (0.0, 0.5):
                    population = F1(share, tolerance, gain)
                    yield Cell("bound", f"F1, {share:g}, {gain:g} gain", population, n, tolerance, MIN_RUNS)
        for tolerance in _tolerances(n, 3.0, reaches):
            for name, words in (
                ("words", WordErrors(spoiled=tolerance / 0.9)),
                ("words, 30 % mended", WordErrors(spoiled=(tolerance + 0.03) / 0.9, mended=0.3)),
                ("utterances lost", WordErrors(lost=tolerance / 0.9)),
            ):
                yield Cell("bound", f"WER, {name}", words, n, tolerance, MIN_RUNS)


def _procedure_cells() -> Iterator[Cell]:
    """Yield cells of the whole procedure: every candidate's drop is at the tolerance, so any acceptance is wrong."""
    for n in (400, 2000):
        for tolerance in (12 / n, 30 / n):
            for name, population in (
                ("flips, some lose", Flips(tolerance, 0.0)),
                ("flips, churn", Flips(tolerance + 0.04, 0.04)),
                ("scores, some lose all", Scores("some_lose_all", tolerance)),
                ("scores, noise", Scores("all_lose_a_little", tolerance, 0.05)),
            ):
                yield Cell("procedure", name, population, n, tolerance, MIN_RUNS)
    for tolerance in (0.02, 0.05):
        for name, pooled in (
            ("AUC, some lost", auc_with_drop(0.5, tolerance, 0.0)),
            ("AUC, noise", noisy_auc(0.5, tolerance)),
            ("F1", F1(0.5, tolerance, 0.5)),
            ("WER, utterances lost", WordErrors(lost=tolerance / 0.9)),
            ("WER, words", WordErrors(spoiled=tolerance / 0.9)),
        ):
            yield Cell("procedure", name, pooled, 1000, tolerance, MIN_RUNS)


def _power_cells() -> Iterator[Cell]:
    """Yield cells of candidates without a true drop, with slightly different answers and 3 times the required samples.

    Answers worth a twentieth of the tolerance are lost, and as many are won; real scores move by 2 % of their range.
    """
    few = 0.05 / (0.9 * 2)
    for name, tolerance, population in (
        ("flips", 0.01, Flips(0.001, 0.001)),
        ("flips, more churn", 0.01, Flips(0.0025, 0.0025)),
        ("scores", 0.01, Scores("all_lose_a_little", 0.0, 0.02)),
        ("AUC", 0.02, Auc(0.5, 0.0, 0.05)),
        ("AUC, 0.1 positive", 0.05, Auc(0.1, 0.0, 0.05)),
        ("F1", 0.02, F1(0.5, 0.0, few)),
        ("WER", 0.05, WordErrors(spoiled=0.001, mended=0.009)),
    ):
        named = samples_for(tolerance, largest_loss=population.largest_loss, alpha=ALPHA)
        yield Cell("power", name, population, POWER_FACTOR * named, tolerance, MIN_RUNS)
        each = ALPHA / FINALISTS
        halves = 2 * samples_for(tolerance, largest_loss=population.largest_loss, alpha=each)
        yield Cell("procedure_power", name, population, POWER_FACTOR * halves, tolerance, MIN_RUNS)
