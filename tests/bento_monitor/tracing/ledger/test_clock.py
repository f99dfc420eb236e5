from __future__ import annotations

import logging
import time

import pytest

from bento_monitor.tracing.ledger.clock import ClockStepWarning, to_wall_ns, wall_offset_ns


def test_monotonic_reading_becomes_the_wall_time_of_that_moment() -> None:
    before_ns, reading_ns, after_ns = time.time_ns(), time.monotonic_ns(), time.time_ns()
    slack_ns = 10_000_000_000  # the wall clock may be set while the tests run
    assert before_ns - slack_ns < to_wall_ns(reading_ns) < after_ns + slack_ns


def test_durations_stay_monotonic_because_the_offset_is_taken_once() -> None:
    offset_ns = wall_offset_ns()
    assert to_wall_ns(2_000) - to_wall_ns(1_000) == 1_000
    assert wall_offset_ns() == offset_ns


@pytest.mark.parametrize(("hours", "text"), [(1, "+3600 s"), (-1, "-3600 s")])
def test_clock_change_is_logged_once_and_changes_no_duration(
    hours: int, text: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    step_ns = 0
    monkeypatch.setattr(time, "time_ns", lambda: to_wall_ns(time.monotonic_ns()) + step_ns)
    note = ClockStepWarning(time.time_ns)
    begun_ns = to_wall_ns(1_000)
    with caplog.at_level(logging.WARNING, logger="bento_monitor"):
        note.check()
        assert caplog.messages == []
        step_ns = hours * 3600 * 10**9
        for _ in range(3):
            note.check()
    assert [text in message for message in caplog.messages] == [True]
    assert to_wall_ns(5_000) - begun_ns == 4_000
