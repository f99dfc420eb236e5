"""What threads have done reaches the loop: at once when few wait, together when many do, and never late."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

from bento_monitor.fast_path.returning import LONGEST_S, WAITING_FOR_EACH, Returning
from bento_monitor.fast_path.threads import FunctionThreads


class Loop:
    """The parts of a loop that are asked for, by a clock that stands still between two steps."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.wakes: list[Callable[[], None]] = []
        self.timers: list[tuple[float, Callable[..., None]]] = []

    def time(self) -> float:
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


def run_calls(waiting: int, step_s: float, items: int = 60) -> tuple[int, list[int], int]:
    """How often a loop is woken for calls that each take so long, what it settles, and the most that ever wait."""
    settled: list[int] = []
    loop = Loop()
    returning = Returning[int](lambda: waiting, settled.append)
    wakes, most = 0, 0
    for item in range(items):
        returning.look_soon(loop)  # type: ignore[arg-type]
        returning.put(loop, item)  # type: ignore[arg-type]
        wakes += len(loop.wakes)
        most = max(most, item + 1 - len(settled))
        loop.step(step_s)
    loop.step(LONGEST_S)
    return wakes, settled, most


def test_each_is_returned_at_once_where_few_wait() -> None:
    assert run_calls(waiting=2 * WAITING_FOR_EACH - 1, step_s=0.001) == (60, list(range(60)), 1)


def test_some_are_returned_together_in_order_where_many_wait() -> None:
    wakes, settled, most = run_calls(waiting=4 * WAITING_FOR_EACH, step_s=0.001)
    assert wakes < 30
    assert most == 4
    assert settled == list(range(60))


def test_functions_that_take_long_are_returned_at_once_however_many_wait() -> None:
    wakes, settled, most = run_calls(waiting=4 * WAITING_FOR_EACH, step_s=0.005)
    assert (wakes, settled, most) == (60, list(range(60)), 1)


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
