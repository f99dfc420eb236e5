"""The finals: three rounds for finalists that are too slow or over a limit, six for the others."""

from __future__ import annotations

from dataclasses import replace

from bento_monitor.serving_config import Batching, Execution
from optimizers.candidate import Candidate
from optimizers.search.trial_log import TrialOutcome
from optimizers.stages.finals import alone_ratio, most_measurements, rank_finals, run_finals

FAST, CLOSE, SLOW = (Candidate(Execution("onnxruntime", "fp32", 1), Batching(size, 0.0), 1) for size in (8, 16, 32))
WINDOWED = Candidate(Execution("onnxruntime", "fp32", 1), Batching(8, 5.0), 1)
OUTCOMES = {
    FAST: TrialOutcome(100.0, 10.0, 0, -1.0, alone_ratio=1.0),
    CLOSE: TrialOutcome(96.0, 10.0, 0, -1.0, alone_ratio=1.0),
    SLOW: TrialOutcome(80.0, 10.0, 0, -1.0, alone_ratio=0.9),
    WINDOWED: TrialOutcome(150.0, 10.0, 0, -1.0, alone_ratio=1.7),
}


def played(outcomes: dict[Candidate, TrialOutcome], max_alone_ratio: float | None) -> dict[Candidate, int]:
    steps: list[None] = []
    found = run_finals(
        list(outcomes), outcomes.__getitem__, max_alone_ratio, seed=0, on_step=lambda: steps.append(None)
    )
    assert len(steps) == sum(map(len, found.values())) <= most_measurements(list(outcomes))
    return {candidate: len(rounds) for candidate, rounds in found.items()}


def ranked(outcomes: dict[Candidate, TrialOutcome], max_alone_ratio: float | None) -> list[Candidate]:
    found = run_finals(list(outcomes), outcomes.__getitem__, max_alone_ratio, seed=0, on_step=lambda: None)
    return rank_finals(found, max_alone_ratio, lambda left, right: False, lambda candidate: 0.0)


def test_slow_finalist_is_dropped_after_three_rounds() -> None:
    outcomes = {candidate: OUTCOMES[candidate] for candidate in (FAST, CLOSE, SLOW)}
    assert played(outcomes, 1.1) == {FAST: 6, CLOSE: 6, SLOW: 3}
    assert ranked(outcomes, 1.1) == [FAST, CLOSE, SLOW]


def test_finalist_slow_for_a_lone_client_is_dropped_without_affecting_others() -> None:
    assert played(OUTCOMES, 1.1) == {FAST: 6, CLOSE: 6, SLOW: 3, WINDOWED: 3}
    assert ranked(OUTCOMES, 1.1) == [FAST, CLOSE, SLOW]


def test_finalist_slow_for_a_lone_client_wins_if_allowed() -> None:
    assert ranked(OUTCOMES, None)[0] == WINDOWED


def test_last_remaining_finalist_gets_no_more_rounds() -> None:
    assert played({FAST: OUTCOMES[FAST]}, 1.1) == {FAST: 3}


def test_failed_or_infeasible_finalist_is_never_ranked() -> None:
    broken = {
        FAST: replace(OUTCOMES[FAST], rps=0.0, failed=1, violation=1.0, error="it did not start"),
        CLOSE: replace(OUTCOMES[CLOSE], violation=0.2),
        SLOW: OUTCOMES[SLOW],
    }
    assert ranked(broken, 1.1) == [SLOW]
    assert played(broken, 1.1) == {FAST: 3, CLOSE: 3, SLOW: 3}


def test_ranking_is_empty_if_no_finalist_meets_the_limits() -> None:
    assert ranked({WINDOWED: OUTCOMES[WINDOWED]}, 1.1) == []


def test_lone_client_ratio_is_a_geometric_mean() -> None:
    found = [replace(OUTCOMES[FAST], alone_ratio=ratio) for ratio in (0.5, 2.0)]
    assert alone_ratio(found) == 1.0
    assert alone_ratio([replace(OUTCOMES[FAST], alone_ratio=None)]) is None
