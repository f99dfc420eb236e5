"""One HTTP exchange, for the access log and BentoML's metrics; read after it has ended, off the request path."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping, Sequence
from contextvars import Context
from typing import Any

from ..tracing.ledger.ledger import Ledger

# Requests to this path are not counted, and finished exchanges are written before each of them.
METRICS_PATH = "/metrics"
Headers = Sequence[tuple[bytes, bytes]]


class Exchange:
    """A request and its response, with their times.

    `begun_s` and `ended_s` are readings of `time.perf_counter`, as in BentoML; `ended_wall_s` is the wall clock at the
    end. `endpoint` is the template of the route, never the raw path. `task` is the task that serves the request while
    it has a time limit, and `late_answer` the response sent in its place when the limit is over. `ledger` is the
    request's ledger, if it is traced. `context` is the request's context, for filters of log records; None if unused.

    `close` copies the values of a log line and drops the request itself: otherwise each waiting exchange would hold
    some hundred objects, which the garbage collector walks.
    """

    __slots__ = (
        "begun_s",
        "client",
        "context",
        "ended_s",
        "ended_wall_s",
        "endpoint",
        "is_sampled",
        "late_answer",
        "ledger",
        "method",
        "path",
        "request_length",
        "request_type",
        "response_headers",
        "response_length",
        "response_type",
        "scheme",
        "scope",
        "service_name",
        "span_id",
        "status",
        "task",
        "trace_id",
    )

    def __init__(self, scope: MutableMapping[str, Any], endpoint: str, begun_s: float, ledger: Ledger | None) -> None:
        self.scope = scope
        self.ledger = ledger
        self.endpoint = endpoint
        self.begun_s = begun_s
        self.ended_s = 0.0
        self.ended_wall_s = 0.0
        self.status = 0
        self.response_headers: Headers = ()
        self.context: Context | None = None
        self.task: asyncio.Task[Any] | None = None
        self.late_answer: asyncio.Future[None] | None = None
        self.service_name: str | None = None

    def close(self) -> None:
        """Copy the values to be written, and drop the request."""
        scope = self.scope
        self.client: tuple[str, int] | None = scope.get("client")
        self.scheme: str = scope.get("scheme", "http")
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.request_type, self.request_length = _type_and_length(scope["headers"])
        self.response_type, self.response_length = _type_and_length(self.response_headers)
        ledger = self.ledger
        self.trace_id = 0 if ledger is None else ledger.trace_id
        self.span_id = 0 if ledger is None else ledger.span_id
        self.is_sampled = ledger is not None and ledger.sampled
        self.scope, self.response_headers = {}, ()
        self.ledger = None


def _type_and_length(headers: Headers) -> tuple[bytes, bytes]:
    """Return the last content-type and content-length headers, as BentoML reads them."""
    content_type = content_length = b""
    for name, value in headers:
        if name == b"content-type":
            content_type = value
        elif name == b"content-length":
            content_length = value
    return content_type, content_length
