"""The circuit breaker: it opens at a rate of failures and retries, and never ends a part for good."""

from __future__ import annotations

import gc

import pytest

from bento_monitor.resilience.circuit_breaker import BreakerState, CircuitBreaker, breaker_levels


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def fail(breaker: CircuitBreaker, count: int = 1) -> None:
    for _ in range(count):
        breaker.run(_raise)


def _raise() -> None:
    raise RuntimeError("a fault")


def test_failures_far_apart_never_open_the_breaker(clock: Clock) -> None:
    breaker = CircuitBreaker("Testing", clock)
    for _ in range(1_000):
        fail(breaker)
        clock.now_s += 2.6  # four in 10 s
    assert (breaker.is_open, breaker.failures, breaker.opens) == (False, 1_000, 0)


def test_5_failures_in_10_s_switch_a_part_off_for_30_s(clock: Clock) -> None:
    breaker = CircuitBreaker("Testing", clock)
    steps: list[int] = []
    for _ in range(5):
        assert not breaker.is_open
        fail(breaker)
        clock.now_s += 2
    assert breaker.is_open
    breaker.run(steps.append, 1)
    clock.now_s += 27.9
    breaker.run(steps.append, 2)
    clock.now_s += 0.2
    breaker.run(steps.append, 3)
    assert steps == [3]
    assert breaker.level().state is BreakerState.HALF_OPEN
    clock.now_s += 10
    assert (breaker.level().state, breaker.opens, breaker.retries) == (BreakerState.CLOSED, 1, 1)


def test_failing_retry_doubles_the_pause_up_to_10_minutes(clock: Clock) -> None:
    breaker = CircuitBreaker("Testing", clock)
    fail(breaker, 5)
    pauses_s = []
    for _ in range(7):
        begun_s = clock.now_s
        while breaker.is_open:
            clock.now_s += 1
        pauses_s.append(clock.now_s - begun_s)
        fail(breaker)
    assert pauses_s == [30, 60, 120, 240, 480, 600, 600]
    assert (breaker.opens, breaker.retries) == (8, 7)


def test_recovered_part_starts_with_the_short_pause(clock: Clock) -> None:
    breaker = CircuitBreaker("Testing", clock)
    fail(breaker, 5)
    clock.now_s += 30
    fail(breaker)
    clock.now_s += 60
    assert not breaker.is_open
    clock.now_s += 10
    fail(breaker, 4)
    assert not breaker.is_open
    fail(breaker)
    assert breaker.is_open
    clock.now_s += 30
    assert not breaker.is_open


def test_switching_off_and_recovery_are_logged(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    breaker = CircuitBreaker("Testing", clock)
    fail(breaker, 5)
    clock.now_s += 30
    fail(breaker)
    clock.now_s += 60
    breaker.run(int)
    clock.now_s += 10
    breaker.run(int)
    assert [record.getMessage() for record in caplog.records] == [
        "Testing failed; the request is not affected.",
        "Testing failed 5 times within 10 s and is switched off for 30 s.",
        "Testing failed again and is switched off for 60 s.",
        "Testing works again.",
    ]


def test_repeated_fault_is_logged_once_a_minute(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    breaker = CircuitBreaker("Testing", clock)
    for _ in range(60):
        fail(breaker)
        clock.now_s += 3
    assert len(caplog.records) == 3


def test_breakers_of_a_process_are_listed_by_part(clock: Clock) -> None:
    guards = [CircuitBreaker("Testing the levels", clock) for _ in range(2)]
    fail(guards[0], 5)
    fail(guards[1], 2)
    level = breaker_levels()["Testing the levels"]
    assert (level.state, level.failures, level.opens) == (BreakerState.OPEN, 7, 1)


def test_removed_part_has_no_breaker(clock: Clock) -> None:
    breaker = CircuitBreaker("Testing the end", clock)
    assert breaker_levels()["Testing the end"].state is BreakerState.CLOSED
    del breaker
    gc.collect()
    assert "Testing the end" not in breaker_levels()
