"""Answers in one write each: the writes of uvicorn's protocols with ours around them, on a simulated connection."""

import asyncio
from typing import Any

import pytest
from played_connection import Line, PlayedServer
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bento_monitor.integrations.uvicorn.joined_writes import _joined

REQUEST = b"POST /x HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\n{}"


def start(length: int) -> dict[str, Any]:
    return {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % length)]}


def body(data: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


def played(clock: Any, application: Any, data: bytes = REQUEST, protocol: Any = HttpToolsProtocol) -> Line:
    """Return the connection to an application after it has handled `data`."""

    async def scenario() -> Line:
        line = Line(PlayedServer(_joined(protocol), application))
        line.feed(data)
        await clock.advance(0)
        return line

    line: Line = clock.run(scenario())
    return line


@pytest.mark.parametrize("protocol", [HttpToolsProtocol, H11Protocol])
@pytest.mark.parametrize("size", [2, 100_000])
def test_head_and_body_are_written_together(clock: Any, protocol: Any, size: int) -> None:
    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        await send(start(size))
        await send(body(b"x" * size))

    line = played(clock, application, protocol=protocol)
    assert len([each for each in line.writes if each]) == 1
    assert line.sent.endswith(b"\r\n\r\n" + b"x" * size)


def test_head_and_parts_of_a_stream_are_written_when_sent(clock: Any) -> None:
    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        await send(start(4))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await send(body(b"ab", more=True))
        await send(body(b"cd"))

    head, *parts = played(clock, application).writes
    assert head.endswith(b"\r\n\r\n")
    assert parts == [b"ab", b"cd"]


def test_head_is_written_before_the_connection_is_closed(clock: Any) -> None:
    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        await send(start(4))
        raise ValueError

    line = played(clock, application)
    assert (line.statuses, line.is_closed) == ([200], True)
