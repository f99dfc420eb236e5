"""Limits on requests: size and pace of the body, size of the headers, and connections that wait for a request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..asgi import Message
from .deadlines import Deadlines

# Answers the request in place of the application, with a status and an error message; False if that is too late.
Refuse = Callable[[int, str], bool]


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """The limits on a request's body."""

    max_bytes: int
    idle_timeout_s: float

    @property
    def too_large(self) -> str:
        """The error message for a body that is too large."""
        return f"The request's body is larger than {self.max_bytes} bytes"

    def hold_for(self, receive: Any) -> bool:
        """Whether uvicorn already has the whole body, and it is small enough; always False under another server."""
        cycle: Any = getattr(receive, "__self__", None)
        return getattr(cycle, "more_body", None) is False and len(cycle.body) <= self.max_bytes

    def are_exceeded_by(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Whether the headers declare a body that is too large."""
        for name, value in headers:
            if name == b"content-length" and value.isdigit():
                # More than 19 digits exceed any file system: no need to convert them.
                return len(value) > 19 or int(value) > self.max_bytes
        return False


class BodyReader:
    """A `receive` that enforces the limits, for one request whose body is still to come."""

    __slots__ = ("_idle", "_is_refused", "_is_whole", "_limits", "_read_bytes", "_receive", "_refuse")

    def __init__(
        self, limits: BodyLimits, idle: Deadlines, receive: Callable[[], Awaitable[Message]], refuse: Refuse
    ) -> None:
        """`idle` holds the idle deadlines of all bodies of the worker."""
        self._limits = limits
        self._idle = idle
        self._receive = receive
        self._refuse = refuse
        self._read_bytes = 0
        self._is_whole = False
        self._is_refused = False

    async def __call__(self) -> Message:
        """Return the next message. After the whole body it waits without a time limit for the client to leave."""
        if self._is_whole:
            return await self._receive()
        if self._is_refused:
            return {"type": "http.disconnect"}
        key = self._idle.watch(self._give_up)
        try:
            message = await self._receive()
        finally:
            self._idle.end(key)
        self._read_bytes += len(message.get("body", b""))
        if self._read_bytes > self._limits.max_bytes:
            self._is_refused = True
            self._refuse(413, self._limits.too_large)
            await asyncio.sleep(0)  # the application is canceled here
            return {"type": "http.disconnect"}
        self._is_whole = not message.get("more_body", False)
        return message

    def _give_up(self) -> None:
        text = f"No part of the request's body came for {self._limits.idle_timeout_s:g} seconds"
        self._is_refused = self._refuse(408, text)


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """The limits on a request's head, and on the connections that wait for one."""

    max_count: int
    max_bytes: int
    timeout_s: float
    max_waiting: int

    def hold_for(self, url: bytes, headers: Sequence[tuple[bytes, bytes]]) -> bool:
        """Whether a complete head is within the limits."""
        size = len(url) + sum(len(name) + len(value) for name, value in headers)
        return len(headers) <= self.max_count and size <= self.max_bytes


class WaitingConnections:
    """The connections of a worker that wait for a complete head, oldest first, with one timer for all of them."""

    def __init__(self, limits: HeadLimits) -> None:
        self._deadlines = Deadlines(limits.timeout_s)
        self._max_waiting = limits.max_waiting

    def add(self, give_up: Callable[[], None]) -> int:
        """Add a waiting connection, and return the key for `end`. `give_up` closes the connection."""
        key = self._deadlines.watch(give_up)
        if len(self._deadlines) > self._max_waiting:
            self._deadlines.expire_oldest()
        return key

    def end(self, key: int) -> None:
        """Remove a connection that no longer waits."""
        self._deadlines.end(key)
