"""What threads have done reaches the loop: at once when few wait, together when many do, and never late."""

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
    """The parts of a loop that are asked for, and the clock of the threads: it stands still between two steps."""

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
        """Let time pass, and run what is due."""
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
    """How often threads wake a loop for calls that each take so long, the most that ever wait, and what is settled.

    The first two are of the second half: the first teaches it how long a call takes.
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


def test_each_is_returned_at_once_where_few_wait(loop: Loop) -> None:
    assert run_calls(loop, waiting=MANY - 1, step_s=0.001) == (60, 1, list(range(120)))


def test_where_many_wait_some_are_returned_together_in_order_and_the_timer_alone_wakes_the_loop(loop: Loop) -> None:
    wakes, most, settled = run_calls(loop, waiting=5 * WAITING_FOR_EACH, step_s=0.001)
    assert wakes == 0
    assert 5 <= most <= 6
    assert settled == list(range(120))


def test_as_many_are_returned_together_as_are_done_in_the_longest_time(loop: Loop) -> None:
    wakes, most, settled = run_calls(loop, waiting=100 * WAITING_FOR_EACH, step_s=LONGEST_S / 3.5)
    assert wakes == 0
    assert 3 <= most <= 4
    assert settled == list(range(120))


def test_functions_that_take_long_are_returned_at_once_however_many_wait(loop: Loop) -> None:
    wakes, most, settled = run_calls(loop, waiting=100 * WAITING_FOR_EACH, step_s=LONGEST_S)
    assert (wakes, most, settled) == (60, 1, list(range(120)))


def returning_with_timer(loop: Loop, left: list[int], settled: list[int]) -> CompletionBatching[int]:
    """One that has learnt that calls take 1 ms, and has just set its timer; `left` holds what still waits."""
    returning = CompletionBatching[int](lambda: len(left), settled.append)
    left.extend(range(10))
    for item in range(80):
        returning.put(loop, item)  # type: ignore[arg-type]
        loop.step(0.001)
    returning.look_soon(loop)  # type: ignore[arg-type]
    assert loop.timers
    settled.clear()
    return returning


def test_a_thread_wakes_the_loop_for_the_last_that_waited(loop: Loop) -> None:
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


def test_a_thread_wakes_the_loop_where_twice_as_many_are_done_as_were_to_be(loop: Loop) -> None:
    left: list[int] = []
    settled: list[int] = []
    returning = returning_with_timer(loop, left, settled)
    for item in range(9):  # of 10 that wait, 5 were to be answered together
        returning.put(loop, item)  # type: ignore[arg-type]
    assert not loop.wakes
    returning.put(loop, 9)  # type: ignore[arg-type]
    assert len(loop.wakes) == 1
    loop.step(0)
    assert settled == list(range(10))


def test_an_answer_does_not_wait_for_the_next_function() -> None:
    """Twenty short functions teach it to return some together; then one that takes long follows a short one."""

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

    assert asyncio.run(scenario()) < 2  # the long one would have held it for 10 s
    assert LONGEST_S < 1
