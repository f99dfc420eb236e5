"""The served search: finds the best of known candidates, measures only survivors, and resumes after a kill."""

from pathlib import Path

import pytest

from bento_monitor.serving_config import Batching, Execution
from optimizers.candidate import Candidate
from optimizers.search.served import ServedSearch
from optimizers.search.space import ServedSpace, candidate_parameters, seeds
from optimizers.search.trial_log import TrialOutcome

EXECUTIONS = tuple(
    Execution("onnxruntime", precision, threads, sub_batch_size=size, mask_input="mask" if size else None)
    for precision, threads, size in (
        ("fp32", 1, None),
        ("fp32", 2, 4),
        ("int8-dynamic-per-channel", 2, None),
        ("int8-dynamic-per-channel", 2, 4),
    )
)
SPACE = ServedSpace(EXECUTIONS, batch_sizes=(8, 32), windows_ms=(0.0, 5.0), workers=(1,))


def speed_of(candidate: Candidate) -> float:
    run = candidate.execution
    speed = 200.0 if run.precision.startswith("int8") else 100.0
    speed *= 2.5 if run.sub_batch_size else 1.0
    return speed * (1.1 if candidate.batching.max_batch_size == 32 else 1.0)


def measure(candidate: Candidate) -> TrialOutcome:
    return TrialOutcome(rps=speed_of(candidate), p99_ms=10.0, failed=0, violation=-1.0)


def test_best_candidate_is_found_and_only_survivors_are_measured(tmp_path: Path) -> None:
    search = ServedSearch(tmp_path / "trials.json", SPACE, seed=1)
    measured: list[Candidate] = []
    search.run(12, measure, lambda candidate, outcome: measured.append(candidate))
    assert len(measured) == 12
    assert {candidate.execution for candidate in measured} <= set(EXECUTIONS)
    best = search.ranking()[0].candidate
    assert best.execution == EXECUTIONS[3]
    assert best.batching.max_batch_size == 32


def test_seeds_are_measured_first(tmp_path: Path) -> None:
    search = ServedSearch(tmp_path / "trials.json", SPACE, seed=1)
    first = seeds(SPACE, [EXECUTIONS[3], EXECUTIONS[1]], Batching(100, 0.0))
    search.enqueue(first)
    measured: list[Candidate] = []
    search.run(len(first), measure, lambda candidate, outcome: measured.append(candidate))
    assert measured == first


def test_infeasible_candidate_never_wins(tmp_path: Path) -> None:
    def too_slow_when_sorted(candidate: Candidate) -> TrialOutcome:
        violation = 5.0 if candidate.execution.sub_batch_size else -1.0
        return TrialOutcome(speed_of(candidate), 99.0, 0, violation)

    search = ServedSearch(tmp_path / "trials.json", SPACE, seed=1)
    search.run(10, too_slow_when_sorted)
    assert all(entry.candidate.execution.sub_batch_size is None for entry in search.ranking())


def test_trial_interrupted_by_a_kill_is_measured_again(tmp_path: Path) -> None:
    log = tmp_path / "trials.json"
    begun: list[Candidate] = []

    def killed(candidate: Candidate) -> TrialOutcome:
        begun.append(candidate)
        if len(begun) == 3:
            raise KeyboardInterrupt
        return measure(candidate)

    with pytest.raises(KeyboardInterrupt):
        ServedSearch(log, SPACE, seed=1).run(6, killed)
    resumed = ServedSearch(log, SPACE, seed=1)
    assert resumed.finished == 2
    again: list[Candidate] = []
    resumed.run(6, measure, lambda candidate, outcome: again.append(candidate))
    assert resumed.finished == 6
    assert again[0] == begun[2]


def test_candidate_round_trips_through_its_parameters() -> None:
    candidate = Candidate(EXECUTIONS[1], Batching(8, 5.0), 1)
    assert SPACE.candidate(candidate_parameters(candidate)) == candidate
    assert candidate.name != Candidate(EXECUTIONS[1], Batching(8, 0.0), 1).name


def test_trials_of_another_space_are_ignored(tmp_path: Path) -> None:
    log = tmp_path / "trials.json"
    ServedSearch(log, SPACE, seed=1).run(6, measure)
    smaller = ServedSpace(EXECUTIONS[:2], batch_sizes=(8,), windows_ms=(0.0,), workers=(1,))
    search = ServedSearch(log, smaller, seed=1)
    known = search.finished
    assert known < 6
    search.run(known + 2, measure)
    assert {entry.candidate.batching for entry in search.ranking()} == {Batching(8, 0.0)}
    assert ServedSearch(log, SPACE, seed=1).finished == 8


def test_restarted_search_uses_earlier_outcomes(tmp_path: Path) -> None:
    log = tmp_path / "trials.json"
    for trials in range(1, 13):
        ServedSearch(log, SPACE, seed=1).run(trials, measure)
    assert ServedSearch(log, SPACE, seed=1).ranking()[0].candidate.execution == EXECUTIONS[3]


def test_candidate_slow_for_a_lone_client_is_ranked_only_if_allowed(tmp_path: Path) -> None:
    def slow_alone_with_a_window(candidate: Candidate) -> TrialOutcome:
        ratio = 1.9 if candidate.batching.window_ms else 1.0
        return TrialOutcome(speed_of(candidate) * ratio, 10.0, 0, -1.0, alone_ratio=ratio)

    search = ServedSearch(tmp_path / "trials.json", SPACE, seed=1, max_alone_ratio=1.2)
    search.run(10, slow_alone_with_a_window)
    assert {entry.candidate.batching.window_ms for entry in search.ranking()} == {0.0}
    allowed = ServedSearch(tmp_path / "trials.json", SPACE, seed=1)
    assert allowed.ranking()[0].candidate.batching.window_ms == 5.0


def test_search_stops_when_the_space_is_exhausted(tmp_path: Path) -> None:
    space = ServedSpace(EXECUTIONS[:2], batch_sizes=(1,), windows_ms=(0.0,), workers=(1,))
    search = ServedSearch(tmp_path / "trials.json", space, seed=1)
    search.enqueue(seeds(space, EXECUTIONS[:2], Batching(1, 0.0)))
    measured: list[Candidate] = []
    search.run(10, measure, lambda candidate, outcome: measured.append(candidate))
    assert len(measured) == len(set(measured)) == space.size == 2
