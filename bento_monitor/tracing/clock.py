"""From monotonic time to wall-clock time: one offset a process, so that durations stay monotonic."""

from __future__ import annotations

import time
from functools import cache

_READINGS = 5


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
