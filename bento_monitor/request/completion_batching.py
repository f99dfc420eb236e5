"""How what a thread has done gets back to the loop: at once, or a few together where many more are waiting anyway.

To wake the loop takes longer than to answer: the thread and the loop take the interpreter from each other, and what the
loop runs has left the caches, the more so the longer it slept (16 us of Python take 39 after 1 ms, 128 after 5 ms and
159 after 15 ms). So a network card interrupts an idle machine, and is asked by a busy one.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Done = TypeVar("Done")

MANY = 8
"""So many must wait: where fewer do, each is answered at once."""

WAITING_FOR_EACH = 2
"""Then one more is answered together for so many that wait: it adds at most this part to the time that they wait."""

LONGEST_S = 0.02
_WEIGHT = 0.1


class CompletionBatching(Generic[Done]):
    """What threads have done, on its way to the loop.

    A thread leaves it at that only while a timer of the loop is set, so that no answer waits for longer than the timer,
    whatever the next function does. The timer is what wakes the loop: a thread does so only where that would be late.
    """

    def __init__(self, waiting: Callable[[], int], settle: Callable[[Done], None]) -> None:
        self._waiting = waiting
        self._settle = settle
        self._done: deque[Done] = deque()
        self._between_s = LONGEST_S
        self._last_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._together = 0  # that are to be done when the timer ends

    def put(self, loop: asyncio.AbstractEventLoop, done: Done) -> None:
        """Hand over what was done; in a thread.

        Raises:
            RuntimeError: the loop is closed.
        """
        now_s = time.monotonic()  # uvloop counts milliseconds
        self._between_s += _WEIGHT * (min(now_s - self._last_s, LONGEST_S) - self._between_s)
        self._last_s = now_s
        self._done.append(done)
        if self._timer is None or len(self._done) >= 2 * self._together or not self._waiting():
            loop.call_soon_threadsafe(self._settle_all)

    def look_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        """Set the timer if enough are waiting; on the loop's thread, whenever one more waits."""
        if self._timer is None and (waiting := self._waiting()) >= MANY:
            together = min(waiting // WAITING_FOR_EACH, int(LONGEST_S / self._between_s))
            if together > 1:
                self._together = together
                self._timer = loop.call_later(together * self._between_s, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None  # before the rest: what is put from here on wakes the loop
        self._settle_all()
        self.look_soon(loop)

    def _settle_all(self) -> None:
        done = self._done
        while done:
            self._settle(done.popleft())
