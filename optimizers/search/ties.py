"""The order of finalists: by speed; finalists of practically equal speed by accuracy and simplicity."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bento_monitor.errors import MeasurementError

from ..candidate import Candidate

MIN_ROUNDS = 6
_TIE_RATIO = 1.03
_TIE_OF_DEPENDENCE = 0.01

IsMoreAccurate = Callable[[Candidate, Candidate], bool]
BatchDependence = Callable[[Candidate], float]


@dataclass(frozen=True, slots=True)
class Finalist:
    """A candidate with its requests per second in each round; each round interleaves all finalists."""

    candidate: Candidate
    rates_rps: tuple[float, ...]

    @property
    def mean_log_rate(self) -> float:
        """The logarithm of the geometric mean of its rates."""
        return math.fsum(math.log(rate) for rate in self.rates_rps) / len(self.rates_rps)


def rank_finalists(
    finalists: Sequence[Finalist], is_more_accurate: IsMoreAccurate, batch_dependence: BatchDependence
) -> list[Candidate]:
    """Rank the finalists: those within 3 % of the fastest by preference, then the others by speed.

    Tied finalists are chosen one after the other. The next is always one that no remaining finalist is more accurate
    than. Among several of these, the criteria are, in order: a batch dependence within .01 of the smallest, no window,
    the fewest threads, the highest speed. The result does not depend on the order of `finalists`.

    Args:
        finalists: candidates measured in the same rounds.
        is_more_accurate: whether the paired confidence interval shows that the first candidate is more accurate.
        batch_dependence: how much the composition of a batch changes answers, 0 for not at all; called only for ties.

    Raises:
        MeasurementError: several finalists have fewer than 6 rounds or different numbers of rounds, or a rate is not
            finite and above 0.
    """
    _require_rounds(finalists)
    left = sorted(finalists, key=lambda each: (-each.mean_log_rate, each.candidate.name))
    if not left:
        return []
    least = left[0].mean_log_rate - math.log(_TIE_RATIO)
    tied = [each for each in left if each.mean_log_rate >= least]
    slower = [each.candidate for each in left if each.mean_log_rate < least]
    ranked: list[Candidate] = []
    while tied:
        chosen = _preferred(tied, is_more_accurate, batch_dependence)
        tied.remove(chosen)
        ranked.append(chosen.candidate)
    return ranked + slower


def _preferred(
    tied: Sequence[Finalist], is_more_accurate: IsMoreAccurate, batch_dependence: BatchDependence
) -> Finalist:
    if len(tied) == 1:
        return tied[0]
    best = [
        each for each in tied if not any(is_more_accurate(other.candidate, each.candidate) for other in tied)
    ] or list(tied)
    if len(best) > 1:
        dependence = {each.candidate: batch_dependence(each.candidate) for each in best}
        most = min(dependence.values()) + _TIE_OF_DEPENDENCE
        best = [each for each in best if dependence[each.candidate] <= most]
    return min(best, key=_simplicity)


def _simplicity(finalist: Finalist) -> tuple[bool, int, float, str]:
    candidate = finalist.candidate
    threads = candidate.execution.intra_op_threads * candidate.execution.streams * candidate.workers
    return candidate.batching.window_ms > 0, threads, -finalist.mean_log_rate, candidate.name


def _require_rounds(finalists: Sequence[Finalist]) -> None:
    counts = {len(finalist.rates_rps) for finalist in finalists}
    if len(finalists) > 1 and (len(counts) > 1 or min(counts) < MIN_ROUNDS):
        raise MeasurementError(
            f"Finalists were measured in {sorted(counts)} rounds: each needs the same number, at least {MIN_ROUNDS}."
        )
    for rate in (rate for finalist in finalists for rate in finalist.rates_rps):
        if not (math.isfinite(rate) and rate > 0):
            raise MeasurementError(f"A finalist's rate is {rate}: only finite rates above 0 can be compared.")
