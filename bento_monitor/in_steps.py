"""Emptying a queue that requests fill, in steps between which a waiting request is let in."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from typing import TypeVar

_YIELD_S = 0.0002

Item = TypeVar("Item")


def take_in_steps(queue: deque[Item], step: int) -> Iterator[list[Item]]:
    """What is in the queue now, oldest first, `step` at a time; what comes meanwhile stays.

    Work on a step should hold the interpreter for under a millisecond.
    """
    left = len(queue)
    while left > 0:
        taken = [queue.popleft() for _ in range(min(left, step))]
        left -= len(taken)
        yield taken
        if left > 0:
            time.sleep(_YIELD_S)
