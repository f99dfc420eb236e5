"""A small HTTP server in a thread, whose behavior a test defines."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import pytest

Behaviour = Callable[["Stub", int], Literal["answer", "refuse", "close", "ignore", "answer and close"]]


@dataclass
class Stub:
    """A server that keeps its requests in order. `behaviour` decides what happens with each."""

    behaviour: Behaviour = lambda stub, number: "answer"
    port: int = 0
    bodies: list[bytes] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)
    stalled_ns: tuple[int, int] = (0, 0)

    def stall(self, seconds: float) -> None:
        """Stop the whole server, as a garbage collection or a swap would."""
        start = time.monotonic_ns()
        time.sleep(seconds)
        self.stalled_ns = (start, time.monotonic_ns())

    def wait_for(self, requests: int) -> None:
        """Wait until `requests` requests have arrived."""
        deadline = time.monotonic() + 20
        while len(self.bodies) < requests:
            assert time.monotonic() < deadline
            time.sleep(0.005)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        body = await reader.readexactly(int(length.split(b":")[1]))
        self.heads.append(head)
        self.bodies.append(body)
        action = self.behaviour(self, len(self.bodies) - 1)
        if action == "close":
            return False
        if action == "ignore":
            return True
        status = b"503 Service Unavailable" if action == "refuse" else b"200 OK"
        connection = b"close" if action == "answer and close" else b"keep-alive"
        writer.write(b"HTTP/1.1 %b\r\nConnection: %b\r\nContent-Length: %d\r\n\r\n" % (status, connection, len(body)))
        writer.write(body)
        return action != "answer and close"


@pytest.fixture
def stub() -> Iterator[Stub]:
    """Start a stub that listens on a free port."""
    server = Stub()
    loop = asyncio.new_event_loop()
    is_up = threading.Event()
    end = asyncio.Event()
    connections: list[tuple[asyncio.StreamWriter, asyncio.Task[None]]] = []

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append((writer, loop.create_task(server.serve(reader, writer))))

    async def main() -> None:
        async with await asyncio.start_server(accept, "127.0.0.1", 0) as listener:
            server.port = listener.sockets[0].getsockname()[1]
            is_up.set()
            await end.wait()
        for writer, _ in connections:  # a task that has not started does not close its writer
            writer.close()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(main())

    thread = threading.Thread(target=run)
    thread.start()
    assert is_up.wait(10)
    yield server
    loop.call_soon_threadsafe(end.set)
    thread.join(10)
    assert not thread.is_alive()
