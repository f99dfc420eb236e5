"""Limits of request heads in uvicorn's HTTP protocol: their size, and how long a connection waits for one.

A head that servers and proxies could read in different ways is refused.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any

from ...request.limits import HeadLimits, WaitingConnections
from ...resilience.rate_limited_log import RateLimitedLog

_LOGGER = logging.getLogger("bento_monitor")
# Marks a head or trailers that began in the read being parsed; the bytes of that read are not counted.
_NEW = -1


def limit_heads(limits: HeadLimits) -> None:
    """Make the servers that this process starts from now on enforce `limits`; idempotent."""
    from uvicorn.protocols.http import auto

    if not hasattr(auto.AutoHTTPProtocol, "wait_key"):
        auto.AutoHTTPProtocol = _limited(auto.AutoHTTPProtocol, limits)


def _limited(protocol: Any, limits: HeadLimits) -> Any:
    """Return the protocol with limits: h11 already limits the size of heads and is only timed, httptools does not."""
    # A flood must not fill the log.
    log = RateLimitedLog(_LOGGER, "%d connections closed before a request, the last one: %s", 60.0)
    timed = _timed(protocol, limits, log)
    return _measured(timed, limits, log) if hasattr(protocol, "on_headers_complete") else timed


# Methods that run for every request call `protocol` by name: `super()` in each of them costs a microsecond more.
def _timed(protocol: Any, limits: HeadLimits, log: RateLimitedLog) -> Any:
    waiting = WaitingConnections(limits)

    class TimedProtocol(protocol):  # type: ignore[misc]
        # Slots, since uvicorn's instances have many attributes: past 30, a dictionary no longer shares its keys.
        __slots__ = ("is_owed_answer", "open_bytes", "read_bytes", "wait_key")

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.is_owed_answer = False
            self.read_bytes = 0
            self.open_bytes: int | None = None  # read of an incomplete head or trailers
            self.wait_key = waiting.add(self.give_up)

        def connection_lost(self, exc: Exception | None) -> None:
            self.end_wait()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            self.read_bytes = len(data)
            protocol.data_received(self, data)
            if self.open_bytes is not None:
                self.count_open()
            cycle = self.cycle
            if cycle is None or cycle.response_complete:
                self.wait_on(cycle)
            elif self.wait_key:
                self.end_wait()

        def count_open(self) -> None:
            """Do nothing: this parser does not report incomplete heads."""

        def wait_on(self, cycle: Any) -> None:
            """Wait for the rest of a head, or of a body whose request has been answered."""
            is_body = cycle is not None and cycle.more_body and self.open_bytes is None
            self.is_owed_answer = not is_body
            if is_body or self not in self.connections:  # a WebSocket has left `connections`
                self.end_wait()
            if not self.wait_key and self in self.connections:
                self.wait_key = waiting.add(self.give_up)

        def end_wait(self) -> None:
            waiting.end(self.wait_key)
            self.wait_key = 0

        def give_up(self) -> None:
            self.wait_key = 0
            if self.is_owed_answer:
                self.refuse(HTTPStatus.REQUEST_TIMEOUT)
            else:
                log.note("no data received")
                self.transport.close()

        def refuse(self, status: HTTPStatus) -> None:
            """Answer instead of the application, and close the connection."""
            log.note(f"{status.value} {status.phrase}")
            if not self.transport.is_closing():
                headers, body = _answer(status)
                lines = [b"HTTP/1.1 %d %s" % (status.value, status.phrase.encode())]
                lines += [b"%s: %s" % header for header in headers]
                self.transport.write(b"\r\n".join([*lines, b"", body]))
                self.transport.close()

    return TimedProtocol


def _measured(protocol: Any, limits: HeadLimits, log: RateLimitedLog) -> Any:
    class MeasuredProtocol(protocol):  # type: ignore[misc]
        open_bytes: int | None

        def on_message_begin(self) -> None:
            protocol.on_message_begin(self)
            self.open_bytes = _NEW

        def on_headers_complete(self) -> None:
            is_small = self.open_bytes == _NEW and self.read_bytes <= limits.max_bytes
            self.open_bytes = None
            if not (is_small and len(self.headers) <= limits.max_count) and not limits.hold_for(self.url, self.headers):
                self.refuse_in_order(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            elif not (_is_plain(self.headers) or _is_framed_alike(self.headers, self.parser.get_http_version())):
                self.refuse_in_order(HTTPStatus.BAD_REQUEST)
            protocol.on_headers_complete(self)

        def refuse_in_order(self, status: HTTPStatus) -> None:
            """Refuse through uvicorn, in the order of the connection's requests; uvicorn then closes the connection."""
            log.note(f"{status.value} {status.phrase}")
            self.app, self.ws_protocol_class = _refusal(status), None

        def on_body(self, body: bytes) -> None:
            self.open_bytes = None
            protocol.on_body(self, body)

        def on_chunk_header(self) -> None:
            self.open_bytes = _NEW  # trailers follow the last one, a body any other

        def count_open(self) -> None:
            """Refuse an incomplete head or trailers once they are too large."""
            self.open_bytes = 0 if self.open_bytes == _NEW else self.open_bytes + self.read_bytes
            if self.open_bytes <= limits.max_bytes and len(self.headers) <= limits.max_count:
                return
            if self.cycle is None or self.cycle.response_complete:
                self.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            else:
                log.note("headers too large while an answer is being sent")
                self.transport.close()

    return MeasuredProtocol


def _answer(status: HTTPStatus) -> tuple[list[tuple[bytes, bytes]], bytes]:
    body = json.dumps({"error": status.phrase}, separators=(",", ":")).encode()
    length = str(len(body)).encode()
    return [(b"content-length", length), (b"content-type", b"application/json"), (b"connection", b"close")], body


def _is_plain(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether the headers are like those of most requests: no name twice, a host, and no transfer encoding."""
    names = dict(headers)
    return len(names) == len(headers) and b"host" in names and b"transfer-encoding" not in names


def _is_framed_alike(headers: Sequence[tuple[bytes, bytes]], http_version: str) -> bool:
    """Whether every server and proxy on the way reads the same host and the same body from a request.

    RFC 9112 3.2 and 6.1 demand that any other request is refused; h11 does so, httptools does not. A proxy that reads
    such a request differently would let one client's bytes be taken for another client's request.
    """
    hosts = encodings = 0
    for name, value in headers:
        if name == b"host":
            hosts += 1
        elif name == b"transfer-encoding":
            encodings += 1 if value.lower() == b"chunked" else 2
    return encodings < 2 and (hosts == 1 or (hosts == 0 and http_version != "1.1"))


def _refusal(status: HTTPStatus) -> Callable[[Any, Any, Any], Awaitable[None]]:
    async def refuse(_scope: Any, _receive: Any, send: Any) -> None:
        headers, body = _answer(status)
        await send({"type": "http.response.start", "status": status.value, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return refuse
