"""Completion batching: results of threads reach the event loop at once, or a few together while many calls wait.

Waking the event loop takes longer than answering: thread and loop compete for the interpreter, and the code of the loop
has left the CPU caches, the more so the longer the loop slept (16 us of Python take 39 after 1 ms, 128 after 5 ms and
159 after 15 ms). Network cards do the same: they interrupt an idle machine, and a busy machine polls them.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Done = TypeVar("Done")

MANY = 8
"""Waiting calls from which completions are batched; below it, each is answered at once."""

WAITING_FOR_EACH = 2
"""One completion per this number of waiting calls is batched: that adds at most 1 / WAITING_FOR_EACH to their wait."""

LONGEST_S = 0.02
_WEIGHT = 0.1


class CompletionBatching(Generic[Done]):
    """A queue of completed calls, from threads to the event loop.

    While a timer of the loop is set, threads only append to the queue, and the timer wakes the loop; so no answer waits
    longer than the timer, whatever the next function does. A thread wakes the loop only if the timer would be too late.
    """

    def __init__(self, waiting: Callable[[], int], settle: Callable[[Done], None]) -> None:
        self._waiting = waiting
        self._settle = settle
        self._done: deque[Done] = deque()
        self._between_s = LONGEST_S
        self._last_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._expected = 0  # completions when the timer ends

    def put(self, loop: asyncio.AbstractEventLoop, done: Done) -> None:
        """Queue a completed call. Called in a thread.

        Raises:
            RuntimeError: the loop is closed.
        """
        now_s = time.monotonic()  # not the loop's clock: uvloop's has a resolution of 1 ms
        self._between_s += _WEIGHT * (min(now_s - self._last_s, LONGEST_S) - self._between_s)
        self._last_s = now_s
        self._done.append(done)
        if self._timer is None or len(self._done) >= 2 * self._expected or not self._waiting():
            loop.call_soon_threadsafe(self._settle_all)

    def look_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        """Set the timer if enough calls wait. Called on the event loop's thread for each new call."""
        if self._timer is None and (waiting := self._waiting()) >= MANY:
            together = min(waiting // WAITING_FOR_EACH, int(LONGEST_S / self._between_s))
            if together > 1:
                self._expected = together
                self._timer = loop.call_later(together * self._between_s, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None  # first: a call that is put from here on must wake the loop
        self._settle_all()
        self.look_soon(loop)

    def _settle_all(self) -> None:
        done = self._done
        while done:
            self._settle(done.popleft())
