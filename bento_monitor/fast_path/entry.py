"""The outermost ASGI application of a worker: every request gets its ledger here, whatever becomes of it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from ..bentoml_hooks.status import holds
from ..guard import Guard
from ..tracing.ledger import Ledger, current_ledger
from ..worker import WorkerMonitor

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_HEALTH_PATHS = frozenset({"/livez", "/healthz", "/readyz", "/metrics"})


class Entry:
    """Wraps BentoML's application. What fails in here is counted, and never reaches the request."""

    def __init__(self, application: Application, worker: WorkerMonitor, routes: Mapping[str, str]) -> None:
        """Wrap an application.

        Args:
            application: what BentoML built.
            worker: where finished ledgers go; started and stopped with the application's lifespan.
            routes: path of each API -> its name; other paths are traced without a route.
        """
        self._application = application
        self._worker = worker
        self._routes = routes
        self._guard = Guard("Tracing of requests")
        self._set_request_id = _request_id_hook()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] == "lifespan":
            await self._application(scope, receive, self._lifespan_send(send))
            return
        if scope["type"] != "http" or scope["path"] in _HEALTH_PATHS or self._guard.is_open:
            await self._application(scope, receive, send)
            return
        try:
            ledger = self._begin(scope)
            leave = self._enter(ledger)
        except Exception as error:
            self._guard.record(error)
            await self._application(scope, receive, send)
            return
        await self._serve(ledger, leave, scope, receive, send)

    def _begin(self, scope: MutableMapping[str, Any]) -> Ledger:
        ledger = self._worker.telemetry.start_ledger(scope["headers"], time.monotonic_ns())
        ledger.method = scope["method"]
        ledger.scheme = scope.get("scheme", "http")
        api = self._routes.get(scope["path"])
        if api is not None:
            ledger.api, ledger.route = api, scope["path"]
        return ledger

    def _enter(self, ledger: Ledger) -> Callable[[], None]:
        """Put the request's context in place; what is returned undoes it."""
        if self._set_request_id is not None:
            self._set_request_id(ledger.span_id)
        detach = self._worker.telemetry.enter_request(ledger)
        token = current_ledger.set(ledger)

        def leave() -> None:
            current_ledger.reset(token)
            detach()

        return leave

    async def _serve(
        self,
        ledger: Ledger,
        leave: Callable[[], None],
        scope: MutableMapping[str, Any],
        receive: Receive,
        send: Send,
    ) -> None:
        async def stamped_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                ledger.status = message["status"]
            await send(message)
            if message["type"] == "http.response.body":
                now_ns = time.monotonic_ns()
                ledger.first_byte_ns = ledger.first_byte_ns or now_ns
                if not message.get("more_body", False):
                    ledger.sent_ns = now_ns

        try:
            await self._application(scope, receive, stamped_send)
        except BaseException as error:
            ledger.error_type = type(error).__qualname__
            raise
        finally:
            leave()
            self._finish(ledger)

    def _finish(self, ledger: Ledger) -> None:
        try:
            close_ledger(ledger, time.monotonic_ns())
            self._worker.finish(ledger)
        except Exception as error:
            self._guard.record(error)

    def _lifespan_send(self, send: Send) -> Send:
        async def lifespan_send(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                await self._guarded(self._worker.start)
            elif message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
                await self._guarded(self._worker.stop)
            await send(message)

        return lifespan_send

    async def _guarded(self, step: Callable[[], Awaitable[None]]) -> None:
        try:
            await step()
        except Exception as error:
            self._guard.record(error)


def _request_id_hook() -> Callable[[int], None] | None:
    if not holds("request_id"):
        return None
    from ..bentoml_hooks.app_factory import set_request_id

    return set_request_id


def close_ledger(ledger: Ledger, now_ns: int) -> None:
    """Fill the stamps that follow from others once a request has ended at `now_ns`.

    An async API has no thread to stamp it: its function ran from the end of parsing to the start of serialising. A
    stream's runs until its last byte.
    """
    ledger.sent_ns = ledger.sent_ns or now_ns
    if ledger.parsed_ns and not ledger.started_ns and not ledger.queued_ns:
        ledger.started_ns = ledger.parsed_ns
    if ledger.started_ns and not ledger.ended_ns:
        ledger.ended_ns = ledger.serialize_started_ns or ledger.sent_ns
    if ledger.status >= 500 and ledger.error_type is None:
        ledger.error_type = str(ledger.status)
