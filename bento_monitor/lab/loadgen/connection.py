"""One keep-alive HTTP/1.1 connection with at most one request at a time."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol, cast

import httptools

from .recorder import Recorder

_NO_REQUEST = -1


class ConnectionOwner(Protocol):
    """Decides what a connection does next."""

    def on_free(self, connection: Connection) -> None:
        """Handle a connection that has received its response and can take another request."""

    def on_lost(self, connection: Connection) -> None:
        """Handle a closed connection, whose request, if any, is recorded as failed."""


class Connection(asyncio.Protocol):
    """Sends a request's bytes unchanged, and parses no more of the response than needed."""

    def __init__(self, owner: ConnectionOwner, recorder: Recorder) -> None:
        self.sent_ns = 0
        self.free_since_ns = 0
        self.has_failed = False
        self._owner = owner
        self._recorder = recorder
        self._request = _NO_REQUEST
        self._body: list[bytes] | None = None
        self._failure = "ConnectionClosed"
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)

    @property
    def is_busy(self) -> bool:
        """Whether a response is awaited."""
        return self._request != _NO_REQUEST

    @property
    def is_usable(self) -> bool:
        """Whether a request can be sent on the connection."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, request: int, data: bytes) -> None:
        """Send one request."""
        assert self._transport is not None
        self._request = request
        self._body = [] if self._recorder.is_kept(request) else None
        self.sent_ns = time.monotonic_ns()
        self._recorder.sent(request, self.sent_ns)
        self._transport.write(data)

    def abort(self, failure: str) -> None:
        """Close the connection at once; a request in flight fails with the kind `failure`."""
        self._failure = failure
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport of the connected socket."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Parse some bytes of a response."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.abort("NotHttp")

    def connection_lost(self, exc: Exception | None) -> None:
        """Record the failure of a request in flight, whoever closed the socket."""
        self._transport = None
        if self.is_busy:
            request, self._request = self._request, _NO_REQUEST
            self.has_failed = True
            self._recorder.failed(request, type(exc).__name__ if exc is not None else self._failure)
        self._owner.on_lost(self)

    def on_body(self, body: bytes) -> None:
        """Keep a part of the response's body, if the body is recorded."""
        if self._body is not None:
            self._body.append(body)

    def on_message_complete(self) -> None:
        """Record the complete response."""
        if not self.is_busy:
            self.abort("UnexpectedResponse")
            return
        request, self._request = self._request, _NO_REQUEST
        body = None if self._body is None else b"".join(self._body)
        self._recorder.answered(request, self._parser.get_status_code(), body)
        if self._parser.should_keep_alive():
            self._owner.on_free(self)
        elif self._transport is not None:
            self._transport.close()
