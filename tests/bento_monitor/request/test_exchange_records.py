"""A request has one record, whatever its application sends."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from bento_monitor.request.exchange import Exchange
from bento_monitor.request.exchange_records import ExchangeRecords
from bento_monitor.request.response import Sending

LAST = {"type": "http.response.body", "body": b"x"}


class Lines:
    """An access log that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, int]] = []

    def note(self, exchange: Exchange) -> None:
        pass

    def write(self, exchanges: Sequence[Exchange]) -> None:
        self.lines += [(exchange.path, exchange.status) for exchange in exchanges]


def test_last_part_sent_twice_reaches_the_server_and_is_recorded_once() -> None:
    lines = Lines()
    records = ExchangeRecords(None, lines)
    scope = {"type": "http", "method": "POST", "path": "/x", "headers": []}
    sent: list[Any] = []

    async def send(message: Any) -> None:
        if sent.count(LAST):
            raise RuntimeError("Unexpected ASGI message")
        sent.append(message)

    async def scenario() -> None:
        sending = Sending(Exchange(scope, "x", 0.0, None), None, records, send)
        await sending({"type": "http.response.start", "status": 200, "headers": []})
        await sending(dict(LAST))
        with pytest.raises(RuntimeError, match="Unexpected ASGI message"):
            await sending(dict(LAST))

    asyncio.run(scenario())
    records.flush()
    assert lines.lines == [("/x", 200)]
