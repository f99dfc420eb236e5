"""The finals of the served search: the best few measured anew in interleaved rounds, so that no lucky trial wins."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import median

import numpy as np

from ..candidate import Candidate
from ..search.ties import LEAST_ROUNDS, Finalist, IsMoreAccurate, rank_finalists
from ..search.trial_log import TrialOutcome

_FIRST_LOOK = 3
# Of the fastest after the first look: what is slower than this will not be within 3 % of it after twice the rounds.
_HOPELESS_RATIO = 0.9
_LOOK_SLACK = 1.05

Outcomes = Mapping[Candidate, Sequence[TrialOutcome]]


def play_finals(
    finalists: Sequence[Candidate],
    try_: Callable[[Candidate], TrialOutcome],
    most_alone_ratio: float | None,
    *,
    seed: int,
) -> dict[Candidate, list[TrialOutcome]]:
    """Measure each finalist once a round, in random order; what is hopeless or over a limit is out after three rounds.

    Those that are left play six rounds; one that is left alone plays no more.
    """
    outcomes: dict[Candidate, list[TrialOutcome]] = {candidate: [] for candidate in finalists}
    generator = np.random.default_rng(seed)
    playing = list(finalists)
    for done in range(LEAST_ROUNDS):
        if done == _FIRST_LOOK:
            playing = _with_hope(outcomes, most_alone_ratio)
            if len(playing) <= 1:
                break
        for index in generator.permutation(len(playing)):
            outcomes[playing[index]].append(try_(playing[index]))
    return outcomes


def rank_finals(
    outcomes: Outcomes,
    most_alone_ratio: float | None,
    is_more_accurate: IsMoreAccurate,
    batch_dependence: Callable[[Candidate], float],
) -> list[Candidate]:
    """Those that met every limit, the best first: what played to the end before what was slower and left.

    A limit is met in the median of the rounds, and by a lone client in their geometric mean.
    """
    met = _meeting_limits(outcomes, most_alone_ratio)
    to_the_end = [
        Finalist(candidate, tuple(outcome.rps for outcome in found))
        for candidate, found in met.items()
        if len(found) == LEAST_ROUNDS
    ]
    left = [candidate for candidate, found in met.items() if len(found) < LEAST_ROUNDS]
    return [
        *rank_finalists(to_the_end, is_more_accurate, batch_dependence),
        *sorted(left, key=lambda candidate: -_mean_log_rate(met[candidate])),
    ]


def alone_ratio(outcomes: Sequence[TrialOutcome]) -> float | None:
    """The geometric mean of a lone client's median over the baseline's; None where it was not measured."""
    logs = [math.log(outcome.alone_ratio) for outcome in outcomes if outcome.alone_ratio is not None]
    return math.exp(math.fsum(logs) / len(logs)) if logs else None


def _meeting_limits(outcomes: Outcomes, most_alone_ratio: float | None) -> Outcomes:
    return {candidate: found for candidate, found in outcomes.items() if _meets_limits(found, most_alone_ratio)}


def _meets_limits(found: Sequence[TrialOutcome], most_alone_ratio: float | None) -> bool:
    if any(outcome.rps <= 0 or outcome.failed for outcome in found):
        return False
    alone = alone_ratio(found)
    is_kind = alone is None or most_alone_ratio is None or alone <= most_alone_ratio
    return is_kind and median(outcome.violation for outcome in found) <= 0


def _with_hope(outcomes: Outcomes, most_alone_ratio: float | None) -> list[Candidate]:
    met = _meeting_limits(outcomes, None if most_alone_ratio is None else most_alone_ratio * _LOOK_SLACK)
    least = max(map(_mean_log_rate, met.values()), default=0.0) + math.log(_HOPELESS_RATIO)
    return [candidate for candidate, found in met.items() if _mean_log_rate(found) >= least]


def _mean_log_rate(found: Sequence[TrialOutcome]) -> float:
    return math.fsum(math.log(outcome.rps) for outcome in found) / len(found)
