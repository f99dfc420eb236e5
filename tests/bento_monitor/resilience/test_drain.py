"""Queues that a thread drains."""

from __future__ import annotations

import time
from collections import deque

import pytest

from bento_monitor.resilience.drain import _ENOUGH, DrainThread, drain_in_chunks

_LONG_S = 60.0


def test_chunks_take_present_items_and_leave_later_ones() -> None:
    queue = deque(range(5))
    steps = []
    for step in drain_in_chunks(queue, 2):
        queue.append(9)
        steps.append(step)

    assert steps == [[0, 1], [2, 3], [4]]
    assert list(queue) == [9, 9, 9]


def test_thread_wakes_early_if_enough_items_wait() -> None:
    queue: deque[int] = deque()
    emptied_at_s: list[float] = []

    def empty() -> None:
        emptied_at_s.append(time.monotonic())
        queue.clear()

    thread = DrainThread("emptying", queue, _LONG_S, empty)
    thread.start()

    for _ in range(_ENOUGH - 1):
        queue.append(0)
        thread.look()
    time.sleep(0.05)
    assert not emptied_at_s

    queue.append(0)
    thread.look()
    _wait_until_empty(queue)
    thread.stop(1.0)
    assert len(emptied_at_s) == 1


def test_items_added_during_a_drain_wake_the_thread_again() -> None:
    queue = deque(range(_ENOUGH))
    rounds = 0

    def empty() -> None:
        nonlocal rounds
        rounds += 1
        queue.clear()
        if rounds == 1:
            queue.extend(range(_ENOUGH + 1))  # more than the number at which look() would wake the thread

    thread = DrainThread("emptying", queue, _LONG_S, empty)
    thread.start()
    _wait_until_empty(queue)
    thread.stop(1.0)
    assert rounds == 2


def test_few_items_are_drained_after_the_interval() -> None:
    queue = deque([1])
    thread = DrainThread("emptying", queue, 0.02, queue.clear)
    thread.start()
    _wait_until_empty(queue)
    thread.stop(1.0)


def test_stopped_thread_leaves_waiting_items() -> None:
    queue = deque([1])
    thread = DrainThread("emptying", queue, _LONG_S, queue.clear)
    thread.start()
    thread.stop(1.0)
    assert list(queue) == [1]


def _wait_until_empty(queue: deque[int]) -> None:
    deadline_s = time.monotonic() + 5.0
    while queue:
        if time.monotonic() > deadline_s:
            pytest.fail("the queue was not emptied in 5 s")
        time.sleep(0.001)
