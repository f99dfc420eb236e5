"""Calls back at planned times."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable

_LONGEST_SLEEP_S = 0.05


class Pacer(threading.Thread):
    """Sleeps in a thread, which wakes sooner than the event loop's timers (they resolve 1 ms) and costs less CPU."""

    def __init__(
        self,
        times_ns: Iterable[int],
        loop: asyncio.AbstractEventLoop,
        on_time: Callable[[int], None],
        on_end: Callable[[], None],
    ) -> None:
        """`on_time` gets each of `times_ns` (CLOCK_MONOTONIC) in the event loop; `on_end` is called after the last."""
        super().__init__(name="load-pacer", daemon=True)
        self._times_ns = times_ns
        self._event_loop = loop
        self._on_time = on_time
        self._on_end = on_end
        self._until_ns: int | None = None

    def stop(self, until_ns: int) -> None:
        """Leave out what is planned after `until_ns`."""
        self._until_ns = until_ns

    def run(self) -> None:
        """Wait for each time and call back."""
        for planned_ns in self._times_ns:
            if not self._wait(planned_ns):
                break
            self._event_loop.call_soon_threadsafe(self._on_time, planned_ns)
        self._event_loop.call_soon_threadsafe(self._on_end)

    def _wait(self, planned_ns: int) -> bool:
        while self._until_ns is None or planned_ns <= self._until_ns:
            left_ns = planned_ns - time.monotonic_ns()
            if left_ns <= 0:
                return True
            time.sleep(min(left_ns * 1e-9, _LONGEST_SLEEP_S))
        return False
