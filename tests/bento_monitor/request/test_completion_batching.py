"""Completions of threads reach the loop: at once if few calls wait, batched if many wait, and never late."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from bento_monitor.request import completion_batching as module
from bento_monitor.request.completion_batching import LONGEST_S, MANY, WAITING_FOR_EACH, CompletionBatching
from bento_monitor.request.function_threads import FunctionThreads


class Loop:
    """The parts of a loop that are used, and the clock of the threads, which stands still between two steps."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.wakes: list[Callable[[], None]] = []
        self.timers: list[tuple[float, Callable[..., None]]] = []

    def monotonic(self) -> float:
        return self.now_s

    def call_soon_threadsafe(self, callback: Callable[[], None]) -> None:
        self.wakes.append(callback)

    def call_later(self, delay_s: float, callback: Callable[..., None], *_: object) -> object:
        self.timers.append((self.now_s + delay_s, callback))
        return object()

    def step(self, step_s: float) -> None:
        """Advance the time and run the callbacks that are due."""
        self.now_s += step_s
        due = [callback for at_s, callback in self.timers if at_s <= self.now_s]
        self.timers = [(at_s, callback) for at_s, callback in self.timers if at_s > self.now_s]
        for callback in due:
            callback(self)
        for wake in self.wakes:
            wake()
        self.wakes.clear()


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    loop = Loop()
    monkeypatch.setattr(module, "time", loop)
    return loop


def run_calls(loop: Loop, waiting: int, step_s: float, items: int = 120) -> tuple[int, int, list[int]]:
    """Return how often threads wake the loop for calls of `step_s`, the most that ever wait, and the settled items.

    The first two count the second half only: the first half teaches the batching how long a call takes.
    """
    settled: list[int] = []
    returning = CompletionBatching[int](lambda: waiting, settled.append)
    wakes, most = 0, 0
    for item in range(items):
        returning.look_soon(loop)  # type: ignore[arg-type]
        returning.put(loop, item)  # type: ignore[arg-type]
        if item >= items // 2:
            wakes += len(loop.wakes)
            most = max(most, item + 1 - len(settled))
        loop.step(step_s)
    loop.step(LONGEST_S)
    return wakes, most, settled


def test_completions_return_at_once_if_few_calls_wait(loop: Loop) -> None:
    assert run_calls(loop, waiting=MANY - 1, step_s=0.001) == (60, 1, list(range(120)))


def test_completions_are_batched_in_order_by_the_timer_if_many_wait(loop: Loop) -> None:
    wakes, most, settled = run_calls(loop, waiting=5 * WAITING_FOR_EACH, step_s=0.001)
    assert wakes == 0
    assert 5 <= most <= 6
    assert settled == list(range(120))


def test_batch_has_the_completions_of_the_longest_time(loop: Loop) -> None:
    wakes, most, settled = run_calls(loop, waiting=100 * WAITING_FOR_EACH, step_s=LONGEST_S / 3.5)
    assert wakes == 0
    assert 3 <= most <= 4
    assert settled == list(range(120))


def test_slow_functions_return_at_once_however_many_wait(loop: Loop) -> None:
    wakes, most, settled = run_calls(loop, waiting=100 * WAITING_FOR_EACH, step_s=LONGEST_S)
    assert (wakes, most, settled) == (60, 1, list(range(120)))


def returning_with_timer(loop: Loop, left: list[int], settled: list[int]) -> CompletionBatching[int]:
    """Return a batching that knows that calls take 1 ms and has just set its timer; `left` holds the waiting calls."""
    returning = CompletionBatching[int](lambda: len(left), settled.append)
    left.extend(range(10))
    for item in range(80):
        returning.put(loop, item)  # type: ignore[arg-type]
        loop.step(0.001)
    returning.look_soon(loop)  # type: ignore[arg-type]
    assert loop.timers
    settled.clear()
    return returning


def test_thread_wakes_the_loop_for_the_last_waiting_call(loop: Loop) -> None:
    left: list[int] = []
    settled: list[int] = []
    returning = returning_with_timer(loop, left, settled)
    returning.put(loop, 0)  # type: ignore[arg-type]
    assert not loop.wakes
    left.clear()
    returning.put(loop, 1)  # type: ignore[arg-type]
    assert len(loop.wakes) == 1
    loop.step(0)
    assert settled == [0, 1]


def test_thread_wakes_the_loop_at_twice_the_planned_completions(loop: Loop) -> None:
    left: list[int] = []
    settled: list[int] = []
    returning = returning_with_timer(loop, left, settled)
    for item in range(9):  # of 10 waiting calls, 5 are planned for one batch
        returning.put(loop, item)  # type: ignore[arg-type]
    assert not loop.wakes
    returning.put(loop, 9)  # type: ignore[arg-type]
    assert len(loop.wakes) == 1
    loop.step(0)
    assert settled == list(range(10))


def test_answer_does_not_wait_for_the_next_function() -> None:
    """Short functions teach the batching to return some together; then a long one follows a short one."""

    async def scenario() -> float:
        threads = FunctionThreads(1)
        gate = threading.Event()
        try:
            short = [asyncio.ensure_future(threads.run(time.sleep, 0.0005)) for _ in range(60)]
            long = asyncio.ensure_future(threads.run(gate.wait, 10))
            queued = [asyncio.ensure_future(threads.run(time.monotonic)) for _ in range(60)]
            started_s = time.monotonic()
            await asyncio.wait_for(asyncio.gather(*short), timeout=5)
            took_s = time.monotonic() - started_s
            gate.set()
            await asyncio.gather(long, *queued)
            return took_s
        finally:
            threads.stop()

    assert asyncio.run(scenario()) < 2  # the long function would have delayed it for 10 s
    assert LONGEST_S < 1
