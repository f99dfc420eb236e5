"""uvicorn's answers in one write each: it writes the head and the body apart, and uvloop sends each at once.

A system call is a tenth of what a short request takes, and wakes the client. Where answers follow each other closely,
all that are ready in one turn of the loop are written at its end: their clients are then woken at once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from ..tracing.ledger import Ledger
from .loop_steps import CAREFUL_S, VERY_LONG_S

_HEAD = b"HTTP/1.1 "
# A longer body is not copied to be written with its head.
_MAX_COPIED_BYTES = 65_536
# An answer is held for others only where they come faster than this.
_CLOSE_S = 0.0005


def join_writes() -> None:
    """Make the servers that this process starts from now on write an answer at once; once is enough."""
    from uvicorn.protocols.http import auto

    if not hasattr(auto.AutoHTTPProtocol, "has_joined_writes"):
        auto.AutoHTTPProtocol = _joined(auto.AutoHTTPProtocol, TURN)


def _joined(protocol: Any, turn: Turn) -> Any:
    class JoinedProtocol(protocol):  # type: ignore[misc]
        has_joined_writes = True

        def connection_made(self, transport: Any) -> None:
            super().connection_made(JoinedWrites(transport, turn))
            # uvicorn makes a line for each answer, which BentoML's level of its logger then throws away.
            self.access_log: bool = self.access_log and self.access_logger.isEnabledFor(logging.INFO)

    return JoinedProtocol


class Turn:
    """The connections of a worker that hold something until the end of the loop's turn."""

    def __init__(self) -> None:
        self._holding: list[JoinedWrites] = []
        self._last_answer_s = 0.0
        self._careful_until_s = 0.0

    def add(self, connection: JoinedWrites) -> None:
        """Write what a connection holds at the end of this turn."""
        if not self._holding:
            self._last_answer_s = time.monotonic()  # what is held for long is held since then
            asyncio.get_running_loop().call_soon(self._end_of_turn)
        self._holding.append(connection)

    def is_close(self) -> bool:
        """Whether the answer to be written follows another one closely; where it does not, those that wait go out."""
        now_s = time.monotonic()
        since_s = now_s - self._last_answer_s
        self._last_answer_s = now_s
        if since_s < _CLOSE_S and now_s >= self._careful_until_s:
            return True
        self._note(since_s, now_s)
        self.end()
        return False

    def _end_of_turn(self) -> None:
        if self._holding:
            now_s = time.monotonic()
            self._note(now_s - self._last_answer_s, now_s)
            self.end()

    def _note(self, since_s: float, now_s: float) -> None:
        """Hold nothing for some time, where the loop was held while answers were: by code whose steps we do not see,
        such as a mounted application's.
        """
        if since_s > VERY_LONG_S and self._holding:
            self._careful_until_s = now_s + CAREFUL_S

    def end(self) -> None:
        """Write all that is held."""
        holding, self._holding = self._holding, []
        for connection in holding:
            try:
                connection.write_held()
            except Exception as error:  # one that is broken; the others' answers are theirs
                connection.fail(error)


TURN = Turn()
"""That of this process, which has one loop."""


class JoinedWrites:
    """A transport that holds a head until what is written next, or until the end of the loop's turn."""

    __slots__ = ("_held", "_ledger", "_transport", "_turn", "is_closing")

    def __init__(self, transport: asyncio.Transport, turn: Turn) -> None:
        self._transport = transport
        self._turn = turn
        self._held = b""
        self._ledger: Ledger | None = None  # of the answer that is held
        self.is_closing = transport.is_closing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: Any) -> None:
        """Write, as a transport does."""
        if self._held and self._ledger is not None:
            self.write_held()
        if self._held:
            held, self._held = self._held, b""
            if len(data) > _MAX_COPIED_BYTES:
                self._transport.writelines((held, data))
            else:
                self._transport.write(b"".join((held, data)))
        elif data[: len(_HEAD)] == _HEAD:
            self._hold(data)
        else:
            self._transport.write(data)

    def write_answer(self, data: bytes, ledger: Ledger | None) -> None:
        """Write a whole answer, with others where they follow each other closely; `ledger` is stamped when it is."""
        is_close = self._turn.is_close()
        if is_close and not self._held:
            self._hold(data)
            self._ledger = ledger
            if ledger is not None:
                ledger.is_held = True
        else:
            self.write_held()
            self._transport.write(data)
            if ledger is not None:
                ledger.stamp_sent(is_last=True)

    def write_held(self) -> None:
        """Write what is held."""
        if self._held:
            held, self._held = self._held, b""
            try:
                self._transport.write(held)
            finally:
                self._stamp_sent()
        elif self._ledger is not None:
            self._stamp_sent()

    def fail(self, error: Exception) -> None:
        """End a connection that could not be written to."""
        context = {"message": "An answer cannot be written", "exception": error, "transport": self._transport}
        asyncio.get_running_loop().call_exception_handler(context)
        self._transport.abort()

    def close(self) -> None:
        """Close, once everything is written."""
        self.write_held()
        self._transport.close()

    def _stamp_sent(self) -> None:
        if self._ledger is not None:
            self._ledger.stamp_sent(is_last=True)
            self._ledger = None

    def _hold(self, data: bytes) -> None:
        self._held = data
        self._turn.add(self)
