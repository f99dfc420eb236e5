"""Threads for functions that are not async: as many as configured, and none is lost to a hanging function."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import anyio.from_thread
import pytest

from bento_monitor.request.function_threads import FunctionThreads


def run(scenario: Callable[[FunctionThreads], Any], count: int = 1) -> Any:
    async def main() -> Any:
        threads = FunctionThreads(count)
        try:
            return await asyncio.wait_for(scenario(threads), timeout=20)
        finally:
            threads.stop()

    return asyncio.run(main())


def test_function_runs_with_its_arguments_in_a_copy_of_the_callers_context() -> None:
    name: ContextVar[str] = ContextVar("name")

    def note(*args: int, **kwargs: int) -> Any:
        seen = name.get()
        name.set("changed")
        return seen, args, kwargs, threading.current_thread() is threading.main_thread()

    async def scenario(threads: FunctionThreads) -> None:
        for value in ("a", "b"):
            name.set(value)
            assert await threads.run(note, 1, x=2) == (value, (1,), {"x": 2}, False)
            assert name.get() == value

    run(scenario)


@pytest.mark.parametrize("count", [1, 3])
def test_one_function_per_thread_runs_at_the_same_time(count: int) -> None:
    running, most = 0, 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        with lock:
            running -= 1

    async def scenario(threads: FunctionThreads) -> None:
        await asyncio.gather(*(threads.run(work) for _ in range(4 * count)))

    run(scenario, count)
    assert most == count


@pytest.mark.parametrize(
    ("raised", "expected", "message"),
    [
        (ValueError("bad"), ValueError, "bad"),
        (StopIteration(), RuntimeError, "coroutine raised StopIteration"),
        (SystemExit(3), SystemExit, "3"),
    ],
)
def test_error_of_a_function_reaches_its_caller(
    raised: BaseException, expected: type[BaseException], message: str
) -> None:
    def fail() -> None:
        raise raised

    async def scenario(threads: FunctionThreads) -> Any:
        caught = None
        future = asyncio.Future[None]()
        try:
            await threads.run(fail)
        except BaseException as error:
            caught = error
            future.set_result(None)
        assert await threads.run(lambda: "goes on") == "goes on"
        return caught

    caught = run(scenario)
    assert isinstance(caught, expected)
    assert str(caught) == message


def test_queued_function_of_a_cancelled_caller_is_not_run() -> None:
    gate = threading.Event()
    ran: list[str] = []

    async def scenario(threads: FunctionThreads) -> None:
        first = asyncio.create_task(threads.run(gate.wait))
        await asyncio.sleep(0.05)
        second = asyncio.create_task(threads.run(ran.append, "second"))
        third = asyncio.create_task(threads.run(ran.append, "third"))
        await asyncio.sleep(0)
        second.cancel()
        gate.set()
        await asyncio.gather(first, third)
        with pytest.raises(asyncio.CancelledError):
            await second

    run(scenario)
    assert ran == ["third"]


def test_hanging_function_of_a_cancelled_caller_costs_no_thread() -> None:
    gate = threading.Event()

    async def scenario(threads: FunctionThreads) -> None:
        hanging = [asyncio.create_task(threads.run(gate.wait)) for _ in range(2)]
        waiting = asyncio.create_task(threads.run(lambda: "served"))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        for task in hanging:
            task.cancel()
        assert await waiting == "served"
        gate.set()
        await asyncio.gather(*hanging, return_exceptions=True)
        most = await asyncio.gather(*(threads.run(threading.get_ident) for _ in range(20)))
        assert len(set(most)) <= 2

    run(scenario, count=2)


def test_code_in_a_thread_can_call_back_into_the_loop() -> None:
    async def double(x: int) -> int:
        await asyncio.sleep(0)
        return 2 * x

    async def scenario(threads: FunctionThreads) -> None:
        assert await threads.run(lambda: anyio.from_thread.run(double, 21)) == 42

    run(scenario)


def test_failing_call_leaves_no_reference_cycle() -> None:
    def fail() -> None:
        raise ValueError

    async def scenario(threads: FunctionThreads) -> int:
        await threads.run(time.monotonic)
        gc.collect()
        gc.disable()
        try:
            for _ in range(50):
                try:
                    await threads.run(fail)
                except ValueError:
                    pass
            return gc.collect()
        finally:
            gc.enable()

    assert run(scenario) < 50
