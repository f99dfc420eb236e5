"""The `send` of one request: it records messages on the exchange and the ledger, and ends the time limit."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from ..asgi import Message, Send
from ..tracing.ledger.ledger import Ledger
from .deadlines import Deadlines
from .exchange import Exchange
from .exchange_records import ExchangeRecords


class Sending:
    """The `send` that an application gets. `deadline_key` is 0 if the request has no time limit, or no longer."""

    __slots__ = ("_deadlines", "_exchange", "_ledger", "_records", "_send", "deadline_key")

    def __init__(
        self,
        exchange: Exchange,
        ledger: Ledger | None,
        records: ExchangeRecords,
        send: Send,
    ) -> None:
        """`send` is the `send` of the server."""
        self._exchange = exchange
        self._ledger = ledger
        self._records = records
        self._send = send
        self._deadlines: Deadlines | None = None
        self.deadline_key = 0

    def limit_time(self, deadlines: Deadlines, on_expired: Callable[[], None]) -> None:
        """Call `on_expired` if no answer has begun in time."""
        self._deadlines = deadlines
        self.deadline_key = deadlines.watch(on_expired)

    def end_time_limit(self) -> None:
        """End the time limit: the answer has begun, or the request has ended."""
        if self.deadline_key:
            assert self._deadlines is not None
            self._deadlines.end(self.deadline_key)
            self.deadline_key = 0

    async def __call__(self, message: Message) -> None:
        """Send a message of the application; drop it if the request was answered in place of the application."""
        if self._exchange.late_answer is None:
            self.end_time_limit()
            await self.send_and_record(message)

    async def send_and_record(self, message: Message) -> None:
        """Send a message, and record it on the exchange and the ledger."""
        if message["type"] == "http.response.start":
            self._note_start(message["status"], message.get("headers", ()))
            await self._send(message)
            return
        is_last = not message.get("more_body", False)
        if is_last and not self._exchange.ended_s:  # the server refuses a second last part
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
