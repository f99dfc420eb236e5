"""One HTTP exchange as the access log and BentoML's metrics need it; read once it has ended, off its path."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping, Sequence
from contextvars import Context
from typing import Any

from ..tracing.ledger.ledger import Ledger

# Its requests are counted by nobody, and what is counted is written before each.
METRICS_PATH = "/metrics"
Headers = Sequence[tuple[bytes, bytes]]


class Exchange:
    """What was asked, what was answered and when.

    `begun_s` and `ended_s` are readings of `time.perf_counter`, which BentoML takes too; `ended_wall_s` is the wall
    clock's at the end. `endpoint` is the template of the route, never the raw path. `task` serves it while it has a
    time limit, and `late_answer` is the answer from outside that it gets then. `ledger` is the request's, if it is
    traced. `context` is that of the request, for the filters of log records; None where nobody asks for it.

    `close` takes from the request what a line of the log says, and lets go of the request itself: what waits to be
    written would else be some hundred objects each, which the garbage collector walks.
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
        """Keep what is written of the exchange, and nothing else of it."""
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
    """The last headers of these names, as BentoML takes them."""
    content_type = content_length = b""
    for name, value in headers:
        if name == b"content-type":
            content_type = value
        elif name == b"content-length":
            content_length = value
    return content_type, content_length
