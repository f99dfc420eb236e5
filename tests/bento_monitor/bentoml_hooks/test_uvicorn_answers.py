"""A body that is taken without uvicorn's messages, on a connection that a test plays."""

from __future__ import annotations

from typing import Any

import pytest
from played_connection import Line, PlayedServer
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bento_monitor.bentoml_hooks.uvicorn_answers import take_body

HEAD = b"POST /x HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\n"


def seen(clock: Any, application: Any, *parts: bytes, protocol: Any = HttpToolsProtocol) -> None:
    """Play a connection that sends these parts, one after the other."""

    async def scenario() -> None:
        line = Line(PlayedServer(protocol, application))
        for part in parts:
            line.feed(part)
            await clock.advance(0)

    clock.run(scenario())


def test_a_body_that_has_come_is_taken_once_and_the_next_message_is_that_the_client_has_gone(clock: Any) -> None:
    taken: list[object] = []

    async def application(_scope: Any, receive: Any, send: Any) -> None:
        taken.extend([take_body(receive), take_body(receive)])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})
        taken.append(await receive())

    seen(clock, application, HEAD + b"\r\nbody")
    assert taken == [b"body", None, {"type": "http.disconnect"}]


@pytest.mark.parametrize(
    ("parts", "protocol"),
    [
        ((HEAD + b"\r\nbo", b"dy"), HttpToolsProtocol),
        ((HEAD + b"expect: 100-continue\r\n\r\nbody",), HttpToolsProtocol),
        ((HEAD + b"\r\nbody",), H11Protocol),
    ],
    ids=["half of it", "one that is waited for", "another protocol"],
)
def test_any_other_body_is_left_to_the_messages(clock: Any, parts: tuple[bytes, ...], protocol: Any) -> None:
    taken: list[object] = []

    async def application(_scope: Any, receive: Any, _send: Any) -> None:
        taken.append(take_body(receive))
        while (message := await receive())["more_body"]:
            taken.append(message["body"])
        taken.append(message["body"])

    seen(clock, application, *parts, protocol=protocol)
    assert taken[0] is None
    assert b"".join(taken[1:]) == b"body"  # type: ignore[arg-type]
