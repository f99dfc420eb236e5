"""What is around every request, on either path: its time limit, the limit of concurrency, metrics and the access log.

It does what BentoML's `RunnerTrafficMetricsMiddleware`, `AccessLogMiddleware`, `TimeoutMiddleware` and
`MaxConcurrencyMiddleware` do, in that order from the outside, for HTTP; WebSockets keep BentoML's own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any

from ..tracing.ledger import Ledger
from .deadlines import Deadlines
from .exchange import Exchange
from .records import ExchangeRecords
from .scope_keys import LEDGER

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Scope = MutableMapping[str, Any]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class TrafficLimits:
    """The limits that the service's configuration sets for one worker; None where it sets none."""

    timeout_s: float | None
    max_concurrency: int | None
    unlimited_paths: frozenset[str]


class Traffic:
    """Runs requests within the service's limits, and hands what they were to the records."""

    def __init__(self, limits: TrafficLimits, records: ExchangeRecords, endpoint_of: Callable[[str], str]) -> None:
        """`endpoint_of` gives the template of the route of a path."""
        self._limits = limits
        self._records = records
        self._endpoint_of = endpoint_of
        self._deadlines = None if limits.timeout_s is None else Deadlines(limits.timeout_s)
        self._running = 0

    async def run(self, application: Application, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request; its status and sending are stamped on its ledger, if it has one.

        A request that has not begun to answer when its time is over gets a 504 and is cancelled. A thread that runs for
        it cannot be: the 504 does not wait for that.
        """
        ledger: Ledger | None = scope.get(LEDGER)
        exchange = Exchange(scope, self._endpoint_of(scope["path"]), time.perf_counter(), ledger)
        deadlines = self._deadlines
        key = 0

        async def observed_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                exchange.response_headers = message.get("headers", ())
                if ledger is not None:
                    ledger.status = exchange.status
                await send(message)
                return
            is_last = not message.get("more_body", False)
            if is_last:
                exchange.ended_s = time.perf_counter()
                exchange.ended_wall_s = time.time()
                exchange.context = copy_context()
                exchange.is_answered = True
            await send(message)
            if ledger is not None:
                ledger.stamp_sent(is_last=is_last)

        async def timed_send(message: Message) -> None:
            nonlocal key
            if key:
                if exchange.late_answer is not None:
                    return
                assert deadlines is not None
                deadlines.end(key)
                key = 0
            await observed_send(message)

        if deadlines is not None:
            key = deadlines.watch(lambda: self._expire(exchange, receive, observed_send))
            exchange.task = asyncio.current_task()
        self._records.begin(exchange)
        try:
            limit = self._limits.max_concurrency
            if limit is None or scope["path"] in self._limits.unlimited_paths:
                await application(scope, receive, timed_send)
            else:
                await self._admit(limit, application, scope, receive, timed_send)
        except BaseException:
            if exchange.late_answer is None:
                raise
            assert exchange.task is not None
            exchange.task.uncancel()
        finally:
            if key and deadlines is not None:
                deadlines.end(key)
            if exchange.late_answer is not None:
                await exchange.late_answer
            exchange.task = None
            self._records.end(exchange)

    def _expire(self, exchange: Exchange, receive: Receive, send: Send) -> None:
        assert self._deadlines is not None
        assert exchange.task is not None
        body = {"error": f"Not able to process the request in {self._deadlines.timeout_s} seconds"}
        exchange.late_answer = asyncio.ensure_future(_respond(504, body, exchange.scope, receive, send))
        exchange.task.cancel()

    async def _admit(self, limit: int, application: Application, scope: Scope, receive: Receive, send: Send) -> None:
        if self._running >= limit:
            await _respond(429, {"error": "Too many requests"}, scope, receive, send)
            return
        self._running += 1
        try:
            await application(scope, receive, send)
        finally:
            self._running -= 1


async def _respond(status: int, body: dict[str, str], scope: Any, receive: Any, send: Any) -> None:
    from starlette.responses import JSONResponse

    await JSONResponse(body, status_code=status)(scope, receive, send)


class TrafficMiddleware:
    """Puts a `Traffic` where BentoML's own middlewares would be, for the requests that take BentoML's path."""

    def __init__(self, app: Application, traffic: Traffic) -> None:
        self._app = app
        self._traffic = traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await self._traffic.run(self._app, scope, receive, send)
