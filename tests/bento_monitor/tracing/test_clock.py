from __future__ import annotations

import time

from bento_monitor.tracing.clock import to_wall_ns, wall_offset_ns


def test_a_monotonic_reading_becomes_the_wall_time_of_that_moment() -> None:
    before_ns, reading_ns, after_ns = time.time_ns(), time.monotonic_ns(), time.time_ns()
    slack_ns = 10_000_000_000  # the wall clock may be set while the tests run
    assert before_ns - slack_ns < to_wall_ns(reading_ns) < after_ns + slack_ns


def test_durations_stay_monotonic_because_the_offset_is_taken_once() -> None:
    offset_ns = wall_offset_ns()
    assert to_wall_ns(2_000) - to_wall_ns(1_000) == 1_000
    assert wall_offset_ns() == offset_ns
