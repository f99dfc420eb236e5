"""`send` of one request: what is sent is noted on its exchange and its ledger, and ends its time limit."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from ..asgi import Message, Send
from ..tracing.ledger.ledger import Ledger
from .deadlines import Deadlines
from .exchange import Exchange
from .exchange_records import ExchangeRecords


class Sending:
    """What an application is given as its `send`. `deadline_key` is 0 where the request has no time limit any more."""

    __slots__ = ("_deadlines", "_exchange", "_ledger", "_records", "_send", "deadline_key")

    def __init__(
        self,
        exchange: Exchange,
        ledger: Ledger | None,
        records: ExchangeRecords,
        send: Send,
    ) -> None:
        """`send` is the server's."""
        self._exchange = exchange
        self._ledger = ledger
        self._records = records
        self._send = send
        self._deadlines: Deadlines | None = None
        self.deadline_key = 0

    def limit_time(self, deadlines: Deadlines, on_expired: Callable[[], None]) -> None:
        """Call `on_expired` where no answer has begun in time."""
        self._deadlines = deadlines
        self.deadline_key = deadlines.watch(on_expired)

    def end_time_limit(self) -> None:
        """The request has begun to answer, or has ended."""
        if self.deadline_key:
            assert self._deadlines is not None
            self._deadlines.end(self.deadline_key)
            self.deadline_key = 0

    async def __call__(self, message: Message) -> None:
        """Send for the application; nothing, once it was answered in its place."""
        if self._exchange.late_answer is None:
            self.end_time_limit()
            await self.observed(message)

    async def observed(self, message: Message) -> None:
        """Send, and note it."""
        if message["type"] == "http.response.start":
            self._note_start(message["status"], message.get("headers", ()))
            await self._send(message)
            return
        is_last = not message.get("more_body", False)
        if is_last and not self._exchange.ended_s:  # an application may send a last part twice: the server refuses it
            self._note_end()
        await self._send(message)
        if self._ledger is not None:
            self._ledger.stamp_sent(is_last=is_last)

    def _note_start(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        self._exchange.status = status
        self._exchange.response_headers = headers
        if self._ledger is not None:
            self._ledger.status = status

    def _note_end(self) -> None:
        exchange = self._exchange
        exchange.ended_s = time.perf_counter()
        exchange.ended_wall_s = time.time()
        self._records.answer(exchange)
