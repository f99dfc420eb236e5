"""Handling around each request, on both paths: time, body and concurrency limits, metrics and the access log.

It replaces BentoML's `RunnerTrafficMetricsMiddleware`, `AccessLogMiddleware`, `TimeoutMiddleware` and
`MaxConcurrencyMiddleware`, in that order from the outside, for HTTP; WebSockets keep BentoML's own.
BentoML has no limits on a request's body; these are added.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any

from ..asgi import LEDGER, Application, Message, Receive, Scope, Send
from ..tracing.ledger.ledger import Ledger
from .deadlines import Deadlines
from .exchange import Exchange
from .exchange_records import ExchangeRecords
from .limits import BodyLimits, BodyReader
from .response import Sending


@dataclass(frozen=True, slots=True)
class TrafficLimits:
    """The limits for one worker, from the service's configuration and the settings of bento-monitor; None: no limit."""

    timeout_s: float | None
    max_concurrency: int | None
    unlimited_paths: frozenset[str]
    body: BodyLimits | None = None


class Traffic:
    """Runs requests within the service's limits, and passes their exchanges to the records."""

    def __init__(self, limits: TrafficLimits, records: ExchangeRecords, endpoint_of: Callable[[str], str]) -> None:
        """`endpoint_of` returns the route template of a path."""
        self._limits = limits
        self._records = records
        self._endpoint_of = endpoint_of
        self._deadlines = None if limits.timeout_s is None else Deadlines(limits.timeout_s)
        self._idle_bodies = None if limits.body is None else Deadlines(limits.body.idle_timeout_s)
        self._running = 0

    async def run(self, application: Application, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request; record its status and its sending on its ledger, if it has one.

        A request without an answer at the end of its time limit gets a 504 and is canceled. A body that is too large
        gets a 413, and one that does not arrive a 408. A thread that runs for a canceled request cannot be canceled;
        the answer does not wait for it.
        """
        ledger: Ledger | None = scope.get(LEDGER)
        route = None if ledger is None else ledger.route
        exchange = Exchange(scope, route or self._endpoint_of(scope["path"]), time.perf_counter(), ledger)
        sending = Sending(exchange, ledger, self._records, send)
        if self._deadlines is not None:
            sending.limit_time(self._deadlines, lambda: self._expire(exchange, sending.send_and_record))
            exchange.task = asyncio.current_task()
        body = self._limits.body
        if body is not None and not body.hold_for(receive):
            application, receive = self._limit_body(body, application, exchange, receive, sending.send_and_record)
        self._records.begin(exchange)
        try:
            limit = self._limits.max_concurrency
            if limit is None or scope["path"] in self._limits.unlimited_paths:
                await application(scope, receive, sending)
            else:
                await self._admit(limit, application, scope, receive, sending)
        except BaseException:
            if exchange.late_answer is None:
                raise
            assert exchange.task is not None
            exchange.task.uncancel()
        finally:
            if sending.deadline_key:
                sending.end_time_limit()
            if exchange.late_answer is not None:
                await exchange.late_answer
            exchange.task = None
            self._records.end(exchange)

    def _expire(self, exchange: Exchange, send: Send) -> None:
        assert self._deadlines is not None
        text = f"Not able to process the request in {self._deadlines.timeout_s} seconds"
        _answer_late(exchange, send, 504, text, must_close=False)

    def _limit_body(
        self, limits: BodyLimits, application: Application, exchange: Exchange, receive: Receive, send: Send
    ) -> tuple[Application, Receive]:
        """Return an application and a `receive` that enforce the limits on a body that is still to come."""
        if limits.are_exceeded_by(exchange.scope["headers"]):
            return _refusal(413, limits.too_large), receive
        assert self._idle_bodies is not None
        exchange.task = asyncio.current_task()
        context = copy_context()

        def refuse(status: int, text: str) -> bool:
            return context.run(_answer_late, exchange, send, status, text, must_close=True)

        return application, BodyReader(limits, self._idle_bodies, receive, refuse)

    async def _admit(self, limit: int, application: Application, scope: Scope, receive: Receive, send: Send) -> None:
        if self._running >= limit:
            await _respond(429, "Too many requests", scope, send)
            return
        self._running += 1
        try:
            await application(scope, receive, send)
        finally:
            self._running -= 1


def _answer_late(exchange: Exchange, send: Send, status: int, text: str, *, must_close: bool) -> bool:
    """Answer in place of the application and cancel it; return False if an answer has begun or the request ended."""
    if exchange.task is None or exchange.status or exchange.late_answer is not None:
        return False
    answer = _respond(status, text, exchange.scope, send, must_close=must_close)
    exchange.late_answer = asyncio.ensure_future(answer)
    exchange.task.cancel()
    return True


def _refusal(status: int, text: str) -> Application:
    async def refuse(scope: Scope, _receive: Receive, send: Send) -> None:
        await _respond(status, text, scope, send, must_close=True)

    return refuse


async def _respond(status: int, text: str, scope: Any, send: Any, *, must_close: bool = False) -> None:
    from starlette.responses import JSONResponse

    headers = {"connection": "close"} if must_close else None
    await JSONResponse({"error": text}, status_code=status, headers=headers)(scope, _nothing_to_receive, send)


async def _nothing_to_receive() -> Message:
    return {"type": "http.disconnect"}


class TrafficMiddleware:
    """A middleware that runs `Traffic` in place of BentoML's middlewares, for requests on BentoML's path."""

    def __init__(self, app: Application, traffic: Traffic) -> None:
        self._app = app
        self._traffic = traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await self._traffic.run(self._app, scope, receive, send)
