"""From monotonic time to wall-clock time: one offset a process, so that durations stay monotonic."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import cache

_READINGS = 5
# Less is the clock's own correction.
_STEP_NS = 1_000_000_000
_LOGGER = logging.getLogger("bento_monitor")


@cache
def wall_offset_ns() -> int:
    """Nanoseconds between the monotonic clock and the Unix epoch, measured at the first call and then kept."""
    readings = []
    for _ in range(_READINGS):
        before_ns = time.monotonic_ns()
        wall_ns = time.time_ns()
        after_ns = time.monotonic_ns()
        readings.append((after_ns - before_ns, wall_ns - (before_ns + after_ns) // 2))
    # The reading that took least time was interrupted least.
    return min(readings)[1]


def to_wall_ns(monotonic_ns: int) -> int:
    """Unix time, in nanoseconds, of a reading of `time.monotonic_ns()`."""
    return monotonic_ns + wall_offset_ns()


class StepNote:
    """Says once that the wall clock was set: traces keep the time of before, and their durations are right."""

    def __init__(self, wall_ns: Callable[[], int] = time.time_ns) -> None:
        self._wall_ns = wall_ns
        self._is_said = False

    def look(self) -> None:
        """Compare the wall clock with the one that traces go by."""
        if self._is_said:
            return
        step_ns = self._wall_ns() - to_wall_ns(time.monotonic_ns())
        if abs(step_ns) >= _STEP_NS:
            self._is_said = True
            _LOGGER.warning(
                "The wall clock was set by %+.0f s; until a restart, times in traces are those of before.",
                step_ns / 1e9,
            )
