"""The finals of the served search: the best few candidates, remeasured in rounds, so that no lucky trial wins."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import median

import numpy as np

from ..candidate import Candidate
from ..search.ties import MIN_ROUNDS, Finalist, IsMoreAccurate, rank_finalists
from ..search.trial_log import TrialOutcome

_FIRST_LOOK = 3
# Relative to the fastest after the first look: a slower candidate will not come within 3 % after twice the rounds.
_MIN_COMPETITIVE_RATIO = 0.9
_LOOK_SLACK = 1.05

Outcomes = Mapping[Candidate, Sequence[TrialOutcome]]


def run_finals(
    finalists: Sequence[Candidate],
    try_: Callable[[Candidate], TrialOutcome],
    max_alone_ratio: float | None,
    *,
    seed: int,
    on_step: Callable[[], None],
) -> dict[Candidate, list[TrialOutcome]]:
    """Measure each finalist once per round, in random order.

    After three rounds, finalists that are too slow or exceed a limit are dropped. The others get six rounds, unless
    only one remains. `on_step` is called after each measurement, of at most `most_measurements`.
    """
    outcomes: dict[Candidate, list[TrialOutcome]] = {candidate: [] for candidate in finalists}
    generator = np.random.default_rng(seed)
    playing = list(finalists)
    for done in range(MIN_ROUNDS):
        if done == _FIRST_LOOK:
            playing = _competitive(outcomes, max_alone_ratio)
            if len(playing) <= 1:
                break
        for index in generator.permutation(len(playing)):
            outcomes[playing[index]].append(try_(playing[index]))
            on_step()
    return outcomes


def most_measurements(finalists: Sequence[Candidate]) -> int:
    """Return how many measurements the finals take at most."""
    return len(finalists) * MIN_ROUNDS


def rank_finals(
    outcomes: Outcomes,
    max_alone_ratio: float | None,
    is_more_accurate: IsMoreAccurate,
    batch_dependence: Callable[[Candidate], float],
) -> list[Candidate]:
    """Rank the finalists that met every limit, the best first; finalists dropped after three rounds come last.

    The limit on a lone client's latency applies to the geometric mean of the rounds, other limits to their median.
    """
    met = _meeting_limits(outcomes, max_alone_ratio)
    complete = [
        Finalist(candidate, tuple(outcome.rps for outcome in found))
        for candidate, found in met.items()
        if len(found) == MIN_ROUNDS
    ]
    dropped = [candidate for candidate, found in met.items() if len(found) < MIN_ROUNDS]
    return [
        *rank_finalists(complete, is_more_accurate, batch_dependence),
        *sorted(dropped, key=lambda candidate: -_mean_log_rate(met[candidate])),
    ]


def alone_ratio(outcomes: Sequence[TrialOutcome]) -> float | None:
    """Return the geometric mean of a lone client's median latency over the baseline's; None if not measured."""
    logs = [math.log(outcome.alone_ratio) for outcome in outcomes if outcome.alone_ratio is not None]
    return math.exp(math.fsum(logs) / len(logs)) if logs else None


def _meeting_limits(outcomes: Outcomes, max_alone_ratio: float | None) -> Outcomes:
    return {candidate: found for candidate, found in outcomes.items() if _meets_limits(found, max_alone_ratio)}


def _meets_limits(found: Sequence[TrialOutcome], max_alone_ratio: float | None) -> bool:
    if any(outcome.rps <= 0 or outcome.failed for outcome in found):
        return False
    alone = alone_ratio(found)
    is_fast_alone = alone is None or max_alone_ratio is None or alone <= max_alone_ratio
    return is_fast_alone and median(outcome.violation for outcome in found) <= 0


def _competitive(outcomes: Outcomes, max_alone_ratio: float | None) -> list[Candidate]:
    met = _meeting_limits(outcomes, None if max_alone_ratio is None else max_alone_ratio * _LOOK_SLACK)
    least = max(map(_mean_log_rate, met.values()), default=0.0) + math.log(_MIN_COMPETITIVE_RATIO)
    return [candidate for candidate, found in met.items() if _mean_log_rate(found) >= least]


def _mean_log_rate(found: Sequence[TrialOutcome]) -> float:
    return math.fsum(math.log(outcome.rps) for outcome in found) / len(found)
