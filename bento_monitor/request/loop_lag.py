"""How long the event loop was busy before it read a request: for at most that long its bytes lay in the kernel.

No clock of ours sees bytes arrive. The loop polls, hands out what it has read, runs what became ready, and polls again;
what arrives meanwhile waits. So the time between two polls bounds what a request's own stages cannot show.
"""

from __future__ import annotations

import asyncio
import time

_BEAT_S = 0.05


class LoopLag:
    """Follows the turns of one loop, by what is read and answered in them, and by a timer that should be on time."""

    def __init__(self) -> None:
        self._is_turn_new = True
        self._begun_ns = 0
        self._last_ns = 0
        self._due_ns = 0  # when the timer should run next
        self._late_ns = 0  # how late it was in this turn
        self._lag_ns = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Watch the running loop, also for what neither reads nor answers."""
        self._loop = asyncio.get_running_loop()
        self._set_timer(self._loop)

    def stop(self) -> None:
        """End the timer."""
        self._loop = None
        if self._timer is not None:
            self._timer.cancel()

    def read(self, now_ns: int) -> int:
        """Something was read at `now_ns`; how long the loop had been busy before it polled."""
        if self._is_turn_new and self._loop is not None:
            self._is_turn_new = False
            # All that is read in one poll was waiting for the same turn to end.
            overdue_ns = now_ns - self._due_ns if self._due_ns else 0
            self._lag_ns = max(self._last_ns - self._begun_ns, self._late_ns, overdue_ns, 0)
            self._begun_ns = now_ns
            self._loop.call_soon(self._end_poll)
        self._last_ns = now_ns
        return self._lag_ns

    def note(self, now_ns: int) -> None:
        """The loop was still in this turn at `now_ns`."""
        self._last_ns = now_ns

    def _end_poll(self) -> None:
        self._is_turn_new = True
        self._late_ns = 0

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        """Whether timers run before the poll of their turn or after it depends on the loop."""
        self._late_ns = max(time.monotonic_ns() - self._due_ns, 0)
        self._set_timer(loop)

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due_ns = time.monotonic_ns() + int(_BEAT_S * 1e9)
        self._timer = loop.call_later(_BEAT_S, self._beat, loop)
