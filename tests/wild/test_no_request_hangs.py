"""A failure of one request, or a temporary lack of resources, leaves no other request waiting forever."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bento_monitor.batching import BatchDispatcher
from bento_monitor.batching.job import RowCodec
from bento_monitor.batching.queue import JobQueue
from bento_monitor.connections.acceptor import Acceptor
from bento_monitor.connections.counts import ConnectionCounts
from bento_monitor.integrations.uvicorn.joined_writes import JoinedWrites
from bento_monitor.request.function_threads import FunctionThreads
from bento_monitor.serving_config import Batching


class Reports(list[str]):
    """The messages that the loop's exception handler got."""

    def collect(self) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: self.append(context["message"]))


@pytest.fixture
def reports() -> Reports:
    return Reports()


@pytest.fixture
def no_thread(monkeypatch: pytest.MonkeyPatch) -> list[Exception]:
    """Errors that the next attempts to start a thread raise."""
    import anyio.to_thread

    errors: list[Exception] = []
    run_sync = anyio.to_thread.run_sync

    async def run(*args: Any, **options: Any) -> Any:
        if errors:
            raise errors.pop()
        return await run_sync(*args, **options)

    monkeypatch.setattr(anyio.to_thread, "run_sync", run)
    return errors


def test_failed_thread_start_fails_only_its_request(
    no_thread: list[Exception],
) -> None:
    async def scenario() -> None:
        threads = FunctionThreads(1)
        no_thread.append(RuntimeError("can't start new thread"))
        with pytest.raises(RuntimeError, match="can't start new thread"):
            await asyncio.wait_for(threads.run(int), 5)
        assert await asyncio.wait_for(threads.run(int), 5) == 0
        threads.stop()

    asyncio.run(scenario())


def test_running_thread_does_the_work_of_one_that_cannot_start(no_thread: list[Exception]) -> None:
    async def scenario() -> None:
        threads = FunctionThreads(2)
        slow = asyncio.ensure_future(threads.run(time.sleep, 0.2))
        await asyncio.sleep(0.05)
        no_thread.append(RuntimeError("can't start new thread"))
        assert await asyncio.wait_for(threads.run(int), 5) == 0
        await slow
        threads.stop()

    asyncio.run(scenario())


def test_functions_running_at_stop_do_not_block_the_next_start() -> None:
    async def scenario() -> None:
        threads = FunctionThreads(1)
        slow = [asyncio.ensure_future(threads.run(time.sleep, 0.05)) for _ in range(3)]
        await asyncio.sleep(0.05)
        threads.stop()
        await asyncio.gather(*slow)
        assert await asyncio.wait_for(threads.run(int), 5) == 0
        threads.stop()

    asyncio.run(scenario())


def dispatcher_of(rows: RowCodec, size: int, max_latency_ms: float = 60_000) -> BatchDispatcher:
    async def run(values: Sequence[list[int]], _rows: int) -> list[list[int]]:
        return list(values)

    return BatchDispatcher(
        "same", run, rows, Batching(size, 0.0), max_latency_ms=max_latency_ms, overloaded=lambda: TimeoutError("late")
    )


def test_request_that_becomes_late_between_checks_is_refused_as_late(
    reports: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = RowCodec(len, lambda value, edges: [value[a:b] for a, b in pairwise(edges)], lambda parts: parts)
    take = JobQueue.take

    def take_late(queue: JobQueue, max_rows: int) -> list[Any]:
        time.sleep(0.06)  # like a busy loop, or a busy machine
        return take(queue, max_rows)

    monkeypatch.setattr(JobQueue, "take", take_late)

    async def scenario() -> None:
        reports.collect()
        dispatcher = dispatcher_of(rows, 8, max_latency_ms=50)
        with pytest.raises(TimeoutError, match="late"):
            await asyncio.wait_for(dispatcher.submit([1]), 5)

    asyncio.run(scenario())
    assert reports == []


def test_request_that_cannot_be_split_fails_alone(reports: Reports) -> None:
    def refuse(_value: Any, _edges: Sequence[int]) -> list[Any]:
        raise ValueError("It cannot be cut.")

    async def scenario() -> None:
        reports.collect()
        dispatcher = dispatcher_of(RowCodec(len, refuse, lambda parts: parts), 2)
        with pytest.raises(ValueError, match="It cannot be cut"):
            await asyncio.wait_for(dispatcher.submit([1, 2, 3]), 5)
        assert await asyncio.wait_for(dispatcher.submit([1]), 5) == [1]

    asyncio.run(scenario())
    assert reports == []


class Wire:
    """A transport that records writes, or is broken."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.written = b""
        self.is_aborted = False

    def write(self, data: bytes) -> None:
        if self.error is not None:
            raise self.error
        self.written += data

    def abort(self) -> None:
        self.is_aborted = True

    def is_closing(self) -> bool:
        return self.is_aborted


def test_failing_transport_ends_only_its_own_connection(
    reports: Reports,
) -> None:
    first, broken, last = Wire(), Wire(OSError("It is broken.")), Wire()

    async def scenario() -> None:
        reports.collect()
        for wire in (first, broken, last):
            connection: Any = JoinedWrites(wire)  # type: ignore[arg-type]
            connection.write(b"HTTP/1.1 200 OK")
        assert first.written == b""
        await asyncio.sleep(0.01)

    asyncio.run(scenario())
    assert (first.written, last.written) == (b"HTTP/1.1 200 OK", b"HTTP/1.1 200 OK")
    assert (first.is_aborted, broken.is_aborted, last.is_aborted) == (False, True, False)
    assert reports == ["An answer cannot be written"]


def test_connection_is_accepted_even_if_the_kernel_counts_none(tmp_path: Path) -> None:
    looks = 0

    def count_none() -> int:
        nonlocal looks
        looks += 1
        return 0

    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            made: list[asyncio.Protocol] = []

            def make() -> asyncio.Protocol:
                made.append(asyncio.Protocol())
                return made[-1]

            acceptor = Acceptor(listener, make, ConnectionCounts(tmp_path, os.fstat(listener.fileno()).st_ino))
            acceptor._count_waiting = count_none
            acceptor.start()
            for _ in range(3):
                _, writer = await asyncio.open_connection(*listener.getsockname())
                await asyncio.sleep(0.02)
                writer.close()
            acceptor.close()
        assert len(made) == 3

    asyncio.run(scenario())
    assert looks < 10  # a spinning loop would look thousands of times
