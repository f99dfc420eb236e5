"""One keep-alive HTTP/1.1 connection with at most one request on it."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol, cast

import httptools

from .recorder import Recorder

_NONE = -1


class ConnectionOwner(Protocol):
    """Who decides what a connection does next."""

    def on_free(self, connection: Connection) -> None:
        """The connection has its response, and can take another request."""

    def on_lost(self, connection: Connection) -> None:
        """The connection is closed; the request on it, if any, is recorded as failed."""


class Connection(asyncio.Protocol):
    """Sends a request's bytes as they are, and parses no more of the response than is needed."""

    def __init__(self, owner: ConnectionOwner, recorder: Recorder) -> None:
        self.sent_ns = 0
        self.free_since_ns = 0
        self.has_failed = False
        self._owner = owner
        self._recorder = recorder
        self._request = _NONE
        self._body: list[bytes] | None = None
        self._failure = "ConnectionClosed"
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)

    @property
    def is_busy(self) -> bool:
        """Whether a response is waited for."""
        return self._request != _NONE

    @property
    def is_usable(self) -> bool:
        """Whether a request can be sent on it."""
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
        """Close at once; a request that is on it fails with that kind."""
        self._failure = failure
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is connected."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Some bytes of a response."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.abort("NotHttp")

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed, by whomever."""
        self._transport = None
        if self.is_busy:
            request, self._request = self._request, _NONE
            self.has_failed = True
            self._recorder.failed(request, type(exc).__name__ if exc is not None else self._failure)
        self._owner.on_lost(self)

    def on_body(self, body: bytes) -> None:
        """A part of the response's body."""
        if self._body is not None:
            self._body.append(body)

    def on_message_complete(self) -> None:
        """The response is whole."""
        if not self.is_busy:
            self.abort("UnexpectedResponse")
            return
        request, self._request = self._request, _NONE
        body = None if self._body is None else b"".join(self._body)
        self._recorder.answered(request, self._parser.get_status_code(), body)
        if self._parser.should_keep_alive():
            self._owner.on_free(self)
        elif self._transport is not None:
            self._transport.close()
