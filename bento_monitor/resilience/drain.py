"""Draining of a queue that requests fill, in steps that let waiting requests run in between."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sized
from typing import TypeVar

_YIELD_S = 0.0002
# Garbage collection walks all waiting items, so the queue must stay short; few items are not worth waking a thread.
_ENOUGH = 256

Item = TypeVar("Item")


def drain_in_chunks(queue: deque[Item], step: int) -> Iterator[list[Item]]:
    """Yield the items that are in the queue now, oldest first, `step` at a time. Items added meanwhile stay.

    The work on one step should hold the GIL for less than a millisecond.
    """
    left = len(queue)
    while left > 0:
        taken = [queue.popleft() for _ in range(min(left, step))]
        left -= len(taken)
        yield taken
        if left > 0:
            time.sleep(_YIELD_S)


class DrainThread:
    """A thread that calls `empty` when 256 items wait in a queue, and else every `interval_s`."""

    def __init__(self, name: str, queue: Sized, interval_s: float, empty: Callable[[], None]) -> None:
        self._queue = queue
        self._interval_s = interval_s
        self._empty = empty
        self._wake = threading.Event()
        self._is_stopping = False
        self._name = name
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread, in the process that serves. It can be started again after `stop`."""
        self._is_stopping = False
        self._wake.clear()
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def look(self) -> None:
        """Wake the thread if enough items wait. Called after each new item."""
        if len(self._queue) == _ENOUGH:
            self._wake.set()

    def stop(self, timeout_s: float) -> None:
        """End the thread. Items that still wait stay in the queue."""
        self._is_stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._is_stopping:
            if len(self._queue) < _ENOUGH:
                self._wake.wait(self._interval_s)
            self._wake.clear()
            if not self._is_stopping:
                self._empty()
