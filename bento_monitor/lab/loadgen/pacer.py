"""Calling back at planned times."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from .alarm import make_alarm

# The number of due callbacks run at once: a client that cannot keep up must read its answers in between.
_MAX_AT_ONCE = 64


class Pacer:
    """Calls back on the event loop's own thread: another, sleeping thread would have to wake and then wake the loop."""

    def __init__(
        self,
        times_ns: Iterable[int],
        loop: asyncio.AbstractEventLoop,
        on_time: Callable[[int], None],
        on_end: Callable[[], None],
    ) -> None:
        """`on_time` gets each of `times_ns` (CLOCK_MONOTONIC, rising); `on_end` is called after the last."""
        self._times_ns = iter(times_ns)
        self._on_time = on_time
        self._on_end = on_end
        self._until_ns: int | None = None
        self._is_over = False
        self._next_ns = next(self._times_ns, None)
        self._alarm = make_alarm(loop, self._call_back)

    def start(self) -> None:
        """Start, on the event loop's thread."""
        self._call_back()

    def stop(self, until_ns: int) -> None:
        """Leave out the times that are planned after `until_ns`."""
        self._until_ns = until_ns
        self._call_back()

    def _call_back(self) -> None:
        if self._is_over:
            return
        for _ in range(_MAX_AT_ONCE):
            planned_ns = self._next_ns
            if planned_ns is None or planned_ns > time.monotonic_ns() or self._is_left_out(planned_ns):
                break
            self._next_ns = next(self._times_ns, None)
            self._on_time(planned_ns)
        if self._next_ns is None or self._is_left_out(self._next_ns):
            self._is_over = True
            self._alarm.close()
            self._on_end()
        else:
            self._alarm.set(self._next_ns)

    def _is_left_out(self, planned_ns: int) -> bool:
        return self._until_ns is not None and planned_ns > self._until_ns
