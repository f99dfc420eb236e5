"""The outermost ASGI application of a worker: it opens and closes the ledger of each request."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from random import getrandbits
from typing import Any

from ..asgi import LEDGER, READ_STAMPS, Application, Message, Receive, Scope, Send
from ..fast_path.path import FastPath
from ..fast_path.plan import PathChoice
from ..resilience.circuit_breaker import CircuitBreaker
from ..tracing.context.current_api import NO_API, untraced_api
from ..tracing.ledger.ledger import CLIENT_DISCONNECTED, ClientConnection, Ledger, current_ledger
from .exchange import METRICS_PATH
from .exchange_records import ExchangeRecords
from .monitor import RequestMonitor
from .traffic import Traffic

_HEALTH_PATHS = frozenset({"/livez", "/healthz", "/readyz", METRICS_PATH})
# A child of BentoML's logger, so that its level and handlers apply to the messages at start.
_SERVICE_LOGGER = logging.getLogger("bentoml.bento_monitor")


@dataclass(frozen=True, slots=True)
class Shortcut:
    """The parts that serve requests without BentoML's middlewares.

    Args:
        traffic: does the work of the middlewares.
        records: receives the exchanges of `traffic`; started and stopped with the application.
        open: chooses the path of each API, once the service is up; None if the fast path is off.
        direct: called after `open`; returns the fast path, or None if the user's own middlewares must be around it.
    """

    traffic: Traffic
    records: ExchangeRecords
    open: Callable[[], Awaitable[list[PathChoice]]] | None
    direct: Callable[[], FastPath | None]


class Entry:
    """Wraps BentoML's application. Failures of the entry itself are counted, and never reach the request."""

    def __init__(
        self,
        application: Application,
        worker: RequestMonitor,
        routes: Mapping[str, str],
        *,
        template_of: Callable[[str, str], str | None] | None = None,
        path_prefix: str = "",
        set_request_id: Callable[[int], None] | None = None,
        shortcut: Shortcut | None = None,
    ) -> None:
        """Wrap an application.

        Args:
            application: the application that BentoML built.
            worker: receives finished ledgers; started and stopped with the application's lifespan.
            routes: path template of each API -> name of the API.
            template_of: returns the route template of a path and a method, or None if no route matches; without it,
                only paths of APIs have a template.
            path_prefix: prefix of all paths of the service, including health endpoints.
            set_request_id: sets BentoML's request id to the id of the server span.
            shortcut: replaces BentoML's middlewares, and opens the fast path; None keeps BentoML's middlewares.
        """
        self._application = application
        self._worker = worker
        self._routes = routes
        self._template_of = template_of
        self._health_paths = frozenset(path_prefix + path for path in _HEALTH_PATHS)
        self._breaker = CircuitBreaker("Tracing of requests")
        self._set_request_id = set_request_id
        self._shortcut = shortcut
        self._fast_path: FastPath | None = None
        self._run_fast: Application = application

    def __getattr__(self, name: str) -> Any:
        """Forward attributes such as `add_middleware`, `routes` or `state` to BentoML's application."""
        if name.startswith("_"):  # private attributes, which are not set yet while a copy is made
            raise AttributeError(name)
        return getattr(self._application, name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] == "lifespan":
            await self._application(scope, receive, self._lifespan_send(send))
            return
        if scope["type"] != "http":
            await self._serve_socket(scope, receive, send)
            return
        if scope["path"] in self._health_paths:
            await self._show_health(scope, receive, send)
            return
        if self._worker.is_tracing and not self._breaker.is_open:
            try:
                ledger = self._begin(scope, receive)
                leave = self._enter(ledger)
            except Exception as error:
                self._breaker.record(error)
            else:
                await self._serve(ledger, leave, scope, receive, send)
                return
        await self._serve_untraced(scope, receive, send)

    def _set_random_id(self) -> None:
        """Set a random request id for an untraced request, as BentoML's tracing would."""
        if self._set_request_id is not None:
            try:
                self._set_request_id(getrandbits(64) or 1)
            except Exception as error:
                self._breaker.record(error)

    async def _show_health(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].endswith(METRICS_PATH):
            # Flushed here, so that a scrape counts every request that was answered before it.
            if self._shortcut is not None:
                await asyncio.to_thread(self._shortcut.records.flush)
            await asyncio.to_thread(self._worker.flush_metrics)
        await self._application(scope, receive, send)

    async def _serve_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        token = untraced_api.set(NO_API)
        try:
            await self._application(scope, receive, send)
        finally:
            untraced_api.reset(token)

    async def _serve_untraced(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._set_random_id()
        untraced_api.set(self._api_of(scope)[0] or NO_API)
        leave = self._enter_untraced(scope)
        self._worker.in_flight += 1
        try:
            fast = self._fast_traffic(scope)
            await (self._application(scope, receive, send) if fast is None else fast(scope, receive, send))
        finally:
            self._worker.in_flight -= 1
            if leave is not None:
                leave()

    def _enter_untraced(self, scope: Scope) -> Callable[[], None] | None:
        """Pass the caller's trace on to calls of the user's code, although this request has no span."""
        try:
            return self._worker.telemetry.enter_untraced(scope["headers"])
        except Exception as error:
            self._breaker.record(error)
            return None

    def _fast_traffic(self, scope: Scope) -> Application | None:
        """Return the fast path inside `Traffic`; None if the request takes BentoML's path."""
        fast_path = self._fast_path
        return None if fast_path is None or fast_path.plan_for(scope) is None else self._run_fast

    def _begin(self, scope: Scope, receive: Receive) -> Ledger:
        entered_ns = time.monotonic_ns()
        api, route = self._api_of(scope)
        stamps = scope.get(READ_STAMPS)
        received_ns, read_ns, lag_ns = (entered_ns, entered_ns, 0) if stamps is None else stamps
        ledger = self._worker.telemetry.start_ledger(scope["headers"], received_ns, scope["method"], route)
        ledger.first_read_ns, ledger.entered_ns, ledger.api = read_ns, entered_ns, api
        ledger.connection = _connection_of(receive)
        ledger.loop_lag_ns = lag_ns
        scope[LEDGER] = ledger
        ledger.scheme = scope.get("scheme", "http")
        return ledger

    def _api_of(self, scope: Scope) -> tuple[str | None, str | None]:
        """Return the name of the requested API and the template of the route, each None if there is none."""
        path = scope["path"]
        api = self._routes.get(path)
        if api is not None or self._template_of is None:
            return api, path if api is not None else None
        try:
            route = self._template_of(path, scope["method"])
        except Exception as error:  # raised by a user-defined route class
            self._breaker.record(error)
            return None, None
        return self._routes.get(route) if route is not None else None, route

    def _enter(self, ledger: Ledger) -> Callable[[], None] | None:
        """Enter the request's context, and return a function that leaves it.

        Returns None under uvicorn, which runs each request in its own context.
        """
        if self._set_request_id is not None:
            self._set_request_id(ledger.span_id)
        detach = self._worker.telemetry.enter_request(ledger)
        token = current_ledger.set(ledger)
        if ledger.connection is not None:
            return None

        def leave() -> None:
            current_ledger.reset(token)
            detach()

        return leave

    async def _serve(
        self, ledger: Ledger, leave: Callable[[], None] | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        fast = self._fast_traffic(scope)
        self._worker.in_flight += 1
        try:
            if fast is not None:
                await fast(scope, receive, send)
            else:
                await self._serve_by_bentoml(ledger, scope, receive, send)
        except BaseException as error:
            if fast is not None and not ledger.status and isinstance(error, Exception):
                await _answer_failed(ledger, scope, receive, send)
            ledger.error_type = type(error).__qualname__
            if not _has_client_left(ledger, error):
                raise
            ledger.error_type = CLIENT_DISCONNECTED
        finally:
            self._worker.in_flight -= 1
            if leave is not None:
                leave()
            self._finish(ledger)

    async def _serve_by_bentoml(self, ledger: Ledger, scope: Scope, receive: Receive, send: Send) -> None:
        async def stamped_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                ledger.status = message["status"]
            await send(message)
            if message["type"] == "http.response.body":
                ledger.stamp_sent(is_last=not message.get("more_body", False))

        try:
            scope["headers"] = self._worker.telemetry.headers_below(ledger, scope["headers"])
        except Exception as error:  # raised by a user-defined propagator
            self._breaker.record(error)
        await self._application(scope, receive, stamped_send)

    def _finish(self, ledger: Ledger) -> None:
        if ledger.error_type is None and ledger.is_client_gone:  # the client left before the end of the answer
            ledger.error_type = CLIENT_DISCONNECTED
        ledger.connection = None  # break a reference cycle: the connection holds the ledger in its scope
        try:
            now_ns = time.monotonic_ns()
            self._worker.loop_lag.note(now_ns)
            self._worker.arrivals.look(now_ns)
            close_ledger(ledger, now_ns)
            self._worker.finish(ledger)
        except Exception as error:
            self._breaker.record(error)

    def _lifespan_send(self, send: Send) -> Send:
        async def lifespan_send(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                await _guarded("Starting the monitor", self._worker.start)
                await _guarded("Opening the fast path", self._open_shortcut)
                await _guarded("Freezing the heap", self._freeze)
            elif message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
                await _guarded("Stopping the monitor", self._worker.stop)
                if self._shortcut is not None:
                    records = self._shortcut.records
                    await _guarded("Writing the last records", lambda: asyncio.to_thread(records.stop))
                self._fast_path = None
            await send(message)

        return lifespan_send

    async def _open_shortcut(self) -> None:
        if self._shortcut is None:
            return
        self._shortcut.records.start()
        if self._shortcut.open is None:
            _SERVICE_LOGGER.info("The fast path is off")
            return
        choices = await self._shortcut.open()
        reasons = "".join(f"; {choice.route}: {choice.reason}" for choice in choices if choice.plan is None)
        fast = sum(choice.plan is not None for choice in choices)
        _SERVICE_LOGGER.info("%d of %d APIs take the fast path%s", fast, len(choices), reasons)
        self._fast_path = fast_path = self._shortcut.direct()
        if fast_path is not None:
            self._run_fast = functools.partial(self._shortcut.traffic.run, fast_path.serve)

    async def _freeze(self) -> None:
        # Async, so that it runs on the event loop's thread.
        self._worker.freeze_heap()


async def _guarded(part: str, step: Callable[[], Awaitable[None]]) -> None:
    """Run a start or stop step of the monitor; if it fails, log the error and go on without it."""
    try:
        await step()
    except Exception as error:
        CircuitBreaker(part).record(error)


def _has_client_left(ledger: Ledger, error: BaseException) -> bool:
    """Whether the request was canceled because its client left, and not because the server stops."""
    task = asyncio.current_task()
    is_stopped = task is not None and task.cancelling() > 0
    return isinstance(error, asyncio.CancelledError) and ledger.is_client_gone and not is_stopped


async def _answer_failed(ledger: Ledger, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer an error from the fast path like Starlette's outermost middleware, which the fast path skips."""
    from starlette.responses import PlainTextResponse

    ledger.status = 500
    await PlainTextResponse("Internal Server Error", status_code=500)(scope, receive, send)


def _connection_of(receive: Receive) -> ClientConnection | None:
    """Return uvicorn's state of the client's connection; None under another server."""
    cycle = getattr(receive, "__self__", None)
    return cycle if isinstance(getattr(cycle, "disconnected", None), bool) else None


def close_ledger(ledger: Ledger, now_ns: int) -> None:
    """Close the ledger of a request that ended at `now_ns`, and fill in missing stamps from others.

    No thread stamps the function of an async API: it ran from the end of parsing to the start of serialization, and the
    function of a stream until the last byte.
    """
    ledger.is_closed = True
    ledger.sent_ns = ledger.sent_ns or now_ns
    if ledger.parsed_ns and not ledger.started_ns and not ledger.queued_ns:
        ledger.started_ns = ledger.parsed_ns
    if ledger.started_ns and not ledger.ended_ns:
        ledger.ended_ns = ledger.serialize_started_ns or ledger.sent_ns
    if ledger.status >= 500 and ledger.error_type is None:
        ledger.error_type = str(ledger.status)
