"""Event loop lag: how long the loop was busy before it read a request, the bound of the request's wait in the kernel.

The arrival of bytes cannot be timed. The loop polls, passes on the bytes that it has read, runs all callbacks that are
ready, and polls again; bytes that arrive in between wait. So the time between two polls is an upper bound of a wait
that the stages of a request do not show.
"""

from __future__ import annotations

import asyncio
import time

_BEAT_S = 0.05


class LoopLag:
    """Follows the turns of one event loop, from reads and answers in each turn, and from the delay of a timer."""

    def __init__(self) -> None:
        self._is_turn_new = True
        self._begun_ns = 0
        self._last_ns = 0
        self._due_ns = 0  # due time of the timer
        self._late_ns = 0  # delay of the timer in this turn
        self._lag_ns = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Watch the running loop. A timer also sees callbacks that neither read nor answer requests."""
        self._loop = asyncio.get_running_loop()
        self._set_timer(self._loop)

    def stop(self) -> None:
        """Cancel the timer."""
        self._loop = None
        if self._timer is not None:
            self._timer.cancel()

    def read(self, now_ns: int) -> int:
        """Note a read at `now_ns`, and return how long the loop had been busy before the poll."""
        if self._is_turn_new and self._loop is not None:
            self._is_turn_new = False
            # All reads of one poll waited for the end of the same turn.
            overdue_ns = now_ns - self._due_ns if self._due_ns else 0
            self._lag_ns = max(self._last_ns - self._begun_ns, self._late_ns, overdue_ns, 0)
            self._begun_ns = now_ns
            self._loop.call_soon(self._end_poll)
        self._last_ns = now_ns
        return self._lag_ns

    def note(self, now_ns: int) -> None:
        """Note that the loop was still in this turn at `now_ns`."""
        self._last_ns = now_ns

    def _end_poll(self) -> None:
        self._is_turn_new = True
        self._late_ns = 0

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        """Note the delay of the timer. It may run before or after the poll of its turn, depending on the loop."""
        self._late_ns = max(time.monotonic_ns() - self._due_ns, 0)
        self._set_timer(loop)

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due_ns = time.monotonic_ns() + int(_BEAT_S * 1e9)
        self._timer = loop.call_later(_BEAT_S, self._beat, loop)
