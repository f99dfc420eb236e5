"""A whole body taken, and a whole answer written, on uvicorn's side of a request, without messages to wait for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from uvicorn.protocols.http.httptools_impl import HEADER_VALUE_RE, STATUS_LINE, RequestResponseCycle

from ..tracing.ledger import Ledger
from .uvicorn_writes import TURN, JoinedWrites

_OK = STATUS_LINE[200]
# A longer body takes the loop some time to parse: what is ready goes out before.
_LONG_TO_PARSE_BYTES = 65_536


def take_body(receive: Any) -> bytes | None:
    """The body of a request, as `RequestResponseCycle.receive` gives it in one message where all of it has come.

    None where it has not, or the client has gone, or another server serves: `receive` is then to be asked.
    """
    cycle: Any = getattr(receive, "__self__", None)
    if type(cycle) is not RequestResponseCycle or cycle.more_body or cycle.disconnected or cycle.response_complete:
        return None
    if cycle.waiting_for_100_continue or not cycle.message_event.is_set():
        return None
    if cycle.flow.read_paused:
        cycle.flow.resume_reading()
    cycle.message_event.clear()
    body = bytes(cycle.body)
    if len(body) > _LONG_TO_PARSE_BYTES:
        TURN.end()
    cycle.body = bytearray()
    return body


def write_answer(receive: Any, headers: Sequence[tuple[bytes, bytes]], body: bytes, ledger: Ledger | None) -> bool:
    """Write a whole answer with status 200, as `RequestResponseCycle.send` does for its two messages.

    Args:
        receive: what uvicorn gave the application; another server's is left to that server.
        headers: the body's length is among them, and names are valid and in lower case.
        body: all of it.
        ledger: stamped when the answer is on the wire, which may be at the end of the loop's turn.

    Returns:
        Whether it was written; what `send` treats in another way is left to it.
    """
    cycle: Any = getattr(receive, "__self__", None)
    if type(cycle) is not RequestResponseCycle:
        return False
    if cycle.response_started or cycle.disconnected or cycle.flow.write_paused or cycle.access_log:
        return False
    parts = [_OK]
    for name, value in (*cycle.default_headers, *headers):
        if name == b"connection" or HEADER_VALUE_RE.search(value):
            return False
        parts += (name, b": ", value, b"\r\n")
    parts += (b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n", body)
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = cycle.chunked_encoding = False
    transport: Any = cycle.transport
    answer = b"".join(parts)
    if type(transport) is JoinedWrites:
        transport.write_answer(answer, ledger)
    else:
        transport.write(answer)
        if ledger is not None:
            ledger.stamp_sent(is_last=True)
    cycle.message_event.set()
    if not cycle.keep_alive:
        transport.close()
    cycle.on_response()
    return True
