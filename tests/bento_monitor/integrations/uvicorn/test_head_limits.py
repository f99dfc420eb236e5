"""Limits of request heads: uvicorn's own protocols with ours around them, on a simulated connection."""

import asyncio
import logging
from typing import Any

import pytest
from played_connection import Line, PlayedServer
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bento_monitor.integrations.uvicorn.head_limits import _limited
from bento_monitor.request.limits import HeadLimits

LIMITS = HeadLimits(max_count=5, max_bytes=1000, timeout_s=30.0, max_waiting=3)
WHOLE = b"GET /x HTTP/1.1\r\nhost: h\r\n\r\n"
CHUNKED = b"POST /x HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n"
BOTH = pytest.mark.parametrize("protocol", [HttpToolsProtocol, H11Protocol])


class Server(PlayedServer):
    """A worker's server with limits."""

    def __init__(self, protocol: Any = HttpToolsProtocol, application: Any = None, limits: HeadLimits = LIMITS) -> None:
        super().__init__(_limited(protocol, limits), application)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"a: b\r\n" * 4, 200),
        (b"a: b\r\n" * 5, 431),
        (b"a: " + b"b" * 980 + b"\r\n", 200),
        (b"a: " + b"b" * 1000 + b"\r\n", 431),
        (b"upgrade: websocket\r\nconnection: upgrade\r\n" + b"a: b\r\n" * 4, 431),
    ],
)
@pytest.mark.parametrize("size", [10_000, 100])
def test_complete_head_over_a_limit_is_answered_431_without_the_application(
    clock: Any, head: bytes, status: int, size: int
) -> None:
    data = b"GET /x HTTP/1.1\r\nhost: h\r\n" + head + b"\r\n"

    async def scenario() -> tuple[Server, Line]:
        server = Server()
        line = Line(server)
        for start in range(0, len(data), size):
            if not line.is_closed:
                line.feed(data[start : start + size])
        await clock.advance(0)
        return server, line

    server, line = clock.run(scenario())
    assert (line.statuses, line.is_closed, server.served) == ([status], status == 431, int(status == 200))


@pytest.mark.parametrize("piece", [b"a: b\r\n", b"x"])
def test_endless_head_is_cut_at_the_limit(clock: Any, piece: bytes) -> None:
    async def scenario() -> tuple[int, Line]:
        line = Line(Server())
        line.feed(b"GET /x HTTP/1.1\r\na: ")
        fed = 0
        while not line.is_closed and fed < 5000:
            line.feed(piece)
            fed += len(piece)
        return fed, line

    fed, line = clock.run(scenario())
    assert (line.statuses, line.is_closed) == ([431], True)
    assert fed <= 1007


@pytest.mark.parametrize("piece", [b"a: b\r\n", b"x"])
def test_endless_trailers_are_cut_but_chunks_are_not(clock: Any, piece: bytes) -> None:
    async def never(_scope: Any, receive: Any, _send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def scenario() -> tuple[bool, int, Line]:
        line = Line(Server(application=never))
        line.feed(CHUNKED)
        for _ in range(100):
            line.feed(b"20\r\n")
            line.feed(b"0123456789abcdef" * 2 + b"\r\n")
        was_closed = line.is_closed
        line.feed(b"0\r\na: ")
        fed = 0
        while not line.is_closed and fed < 5000:
            line.feed(piece)
            fed += len(piece)
        await clock.advance(0)
        return was_closed, fed, line

    was_closed, fed, line = clock.run(scenario())
    assert (was_closed, line.is_closed) == (False, True)
    assert fed <= 1007


def test_limits_do_not_add_up_over_requests_of_a_connection(clock: Any) -> None:
    async def scenario() -> tuple[Server, Line]:
        server = Server()
        line = Line(server)
        stream = WHOLE * 300
        for start in range(0, len(stream), 900):
            line.feed(stream[start : start + 900])
            for _ in range(4):
                await clock.advance(0)
        return server, line

    server, line = clock.run(scenario())
    assert (server.served, line.is_closed) == (300, False)


@BOTH
def test_silent_connection_is_closed_without_an_answer(clock: Any, protocol: Any) -> None:
    async def scenario() -> tuple[bool, Line]:
        line = Line(Server(protocol))
        await clock.advance(29.9)
        was_closed = line.is_closed
        await clock.advance(0.2)
        return was_closed, line

    was_closed, line = clock.run(scenario())
    assert (was_closed, line.is_closed, line.sent) == (False, True, b"")


@BOTH
@pytest.mark.parametrize("before", [b"", WHOLE])
def test_slow_head_is_answered_408_however_it_drips(clock: Any, protocol: Any, before: bytes) -> None:
    async def scenario() -> tuple[bool, Line]:
        line = Line(Server(protocol))
        if before:
            line.feed(before)
            await clock.advance(3)
        for byte in WHOLE[:10]:
            line.feed(bytes([byte]))
            await clock.advance(2.9)
        was_closed = line.is_closed
        await clock.advance(1.1)
        return was_closed, line

    was_closed, line = clock.run(scenario())
    assert (was_closed, line.is_closed) == (False, True)
    assert line.statuses == [200, 408] if before else [408]


@BOTH
def test_running_request_is_not_timed(clock: Any, protocol: Any) -> None:
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(100)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async def scenario() -> Line:
        line = Line(Server(protocol, slow))
        line.feed(WHOLE)
        await clock.advance(50)
        assert not line.is_closed
        await clock.advance(50)
        return line

    assert clock.run(scenario()).statuses == [200]


@BOTH
def test_oldest_waiting_connection_is_closed_over_the_limit(clock: Any, protocol: Any) -> None:
    async def scenario() -> tuple[list[bool], list[int]]:
        server = Server(protocol)
        lines = [Line(server) for _ in range(3)]
        lines[0].feed(WHOLE)  # it no longer waits
        await clock.advance(0)
        lines += [Line(server) for _ in range(2)]
        lines[-1].feed(WHOLE)
        await clock.advance(0)
        return [line.is_closed for line in lines], lines[-1].statuses

    assert clock.run(scenario()) == ([False, True, False, False, False], [200])


def test_rest_of_an_answered_body_may_be_slow_but_not_stop(clock: Any) -> None:
    async def scenario() -> tuple[bool, Line]:
        line = Line(Server())
        line.feed(b"POST /x HTTP/1.1\r\nhost: h\r\ncontent-length: 100\r\n\r\n")
        await clock.advance(1)
        for _ in range(5):
            line.feed(b"1")
            await clock.advance(20)
        was_closed = line.is_closed
        await clock.advance(11)
        return was_closed, line

    was_closed, line = clock.run(scenario())
    assert (was_closed, line.is_closed, line.statuses) == (False, True, [200])


def test_closed_connection_leaves_nothing_behind(clock: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        server = Server()
        for _ in range(10):
            line = Line(server)
            line.feed(b"GET")
            line.close()
            await clock.advance(1)
        await clock.advance(60)

    clock.run(scenario())
    assert caplog.text == ""


def test_flood_is_logged_once_a_minute(clock: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        server = Server()
        for _ in range(50):
            Line(server)
        await clock.advance(0)

    with caplog.at_level(logging.WARNING, "bento_monitor"):
        clock.run(scenario())
    (record,) = caplog.records
    assert record.getMessage() == "1 connections closed before a request, the last one: no data received"


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /x HTTP/1.1\r\n", 400),
        (b"GET /x HTTP/1.0\r\n", 200),
        (b"GET /x HTTP/1.1\r\nhost: h\r\nhost: h\r\n", 400),
        (b"GET /x HTTP/1.0\r\nhost: h\r\nHost: other\r\n", 400),
        (b"GET /x HTTP/1.1\r\nhost: \r\n", 200),
        (b"POST /x HTTP/1.1\r\nhost: h\r\ntransfer-encoding: gzip, chunked\r\n", 400),
        (b"POST /x HTTP/1.1\r\nhost: h\r\ntransfer-encoding: Chunked\r\n", 200),
    ],
)
def test_ambiguous_head_is_answered_400_without_the_application(clock: Any, head: bytes, status: int) -> None:
    async def scenario() -> tuple[Server, Line]:
        server = Server()
        line = Line(server)
        line.feed(WHOLE + head + b"\r\n" + (b"0\r\n\r\n" if b"chunked" in head.lower() else b""))
        await clock.advance(0)
        await clock.advance(0)
        return server, line

    server, line = clock.run(scenario())
    # The request before it on the connection is answered first.
    assert (line.statuses, server.served) == ([200, status], 1 + int(status == 200))
    assert line.is_closed == (status == 400 or b"HTTP/1.0" in head)
