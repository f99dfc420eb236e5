"""Converts monotonic time to wall-clock time: one offset per process, so that durations stay monotonic."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import cache

_READINGS = 5
# Smaller steps are the clock's own corrections.
_STEP_NS = 1_000_000_000
_LOGGER = logging.getLogger("bento_monitor")


@cache
def wall_offset_ns() -> int:
    """Return the offset from monotonic time to Unix time in nanoseconds, measured once at the first call."""
    readings = []
    for _ in range(_READINGS):
        before_ns = time.monotonic_ns()
        wall_ns = time.time_ns()
        after_ns = time.monotonic_ns()
        readings.append((after_ns - before_ns, wall_ns - (before_ns + after_ns) // 2))
    # The shortest reading was interrupted least.
    return min(readings)[1]


def to_wall_ns(monotonic_ns: int) -> int:
    """Convert a reading of `time.monotonic_ns()` to Unix time in nanoseconds."""
    return monotonic_ns + wall_offset_ns()


class ClockStepWarning:
    """Warns once if the wall clock was set: traces keep the old time; their durations stay correct."""

    def __init__(self, wall_ns: Callable[[], int] = time.time_ns) -> None:
        self._wall_ns = wall_ns
        self._is_logged = False

    def check(self) -> None:
        """Compare the wall clock with the time that traces use."""
        if self._is_logged:
            return
        step_ns = self._wall_ns() - to_wall_ns(time.monotonic_ns())
        if abs(step_ns) >= _STEP_NS:
            self._is_logged = True
            _LOGGER.warning(
                "The wall clock was set by %+.0f s. Traces use the old time until the service is restarted.",
                step_ns / 1e9,
            )
