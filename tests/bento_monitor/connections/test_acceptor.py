"""The acceptor on real sockets: every connection is opened and counted, and errors lose none."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from bento_monitor.connections.acceptor import Acceptor
from bento_monitor.connections.counts import ConnectionCounts

Run = Callable[[Coroutine[Any, Any, None]], None]


class Echo(asyncio.Protocol):
    """A protocol that sends back the data that it receives."""

    acceptor: Acceptor

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.acceptor.connections.add(self)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)

    def connection_lost(self, error: Exception | None) -> None:
        self.acceptor.connections.discard(self)


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    return request.param  # type: ignore[no-any-return]


def listen(kind: str, folder: Path) -> socket.socket:
    if kind == "unix":
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(folder / "s"))
        listener.listen(64)
        return listener
    family, host = (socket.AF_INET, "127.0.0.1") if kind == "ipv4" else (socket.AF_INET6, "::1")
    return socket.create_server((host, 0), family=family)


def accept_from(listener: socket.socket, folder: Path) -> Acceptor:
    acceptor = Acceptor(listener, Echo, ConnectionCounts(folder, os.fstat(listener.fileno()).st_ino))
    Echo.acceptor = acceptor
    acceptor.start()
    return acceptor


async def echo(listener: socket.socket) -> asyncio.StreamWriter:
    client = socket.socket(listener.family)
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, listener.getsockname())
    reader, writer = await asyncio.open_connection(sock=client)
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"
    return writer


@pytest.mark.parametrize("kind", ["ipv4", "ipv6", "unix"])
def test_every_connection_is_opened_and_counted(run: Run, tmp_path: Path, kind: str) -> None:
    async def scenario() -> None:
        with listen(kind, tmp_path) as listener:
            acceptor = accept_from(listener, tmp_path)
            writers = await asyncio.gather(*(echo(listener) for _ in range(20)))
            assert len(acceptor.connections) == 20
            for writer in writers:
                writer.close()
            while acceptor.connections:
                await asyncio.sleep(0.001)
            acceptor.close()
            await acceptor.wait_closed()
            assert acceptor.sockets == (listener,)
            assert listener.fileno() >= 0

    run(scenario())


def test_acceptor_pauses_without_free_descriptors_and_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bento_monitor.connections.acceptor._AFTER_ERROR_S", 0.01)
    reports: list[dict[str, Any]] = []

    class Exhausted(socket.socket):
        failures = 3

        def accept(self) -> tuple[socket.socket, Any]:
            if self.failures:
                self.failures -= 1
                raise OSError(errno.EMFILE, "Too many open files")
            return super().accept()

    async def scenario() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
        with socket.create_server(("127.0.0.1", 0)) as plain, Exhausted(fileno=os.dup(plain.fileno())) as listener:
            acceptor = accept_from(listener, tmp_path)
            (await echo(listener)).close()
            acceptor.close()

    asyncio.run(scenario())
    assert [report["exception"].errno for report in reports] == [errno.EMFILE] * 3
