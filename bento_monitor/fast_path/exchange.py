"""One HTTP exchange as the access log and BentoML's metrics need it; read once it has ended, off its path."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping, Sequence
from contextvars import Context
from typing import Any

from ..tracing.ledger import Ledger

# Its requests are counted by nobody, and what is counted is written before each.
METRICS_PATH = "/metrics"
Headers = Sequence[tuple[bytes, bytes]]


class Exchange:
    """What was asked, what was answered and when. `context` is that of the request, for the filters of log records.

    `begun_s` and `ended_s` are readings of `time.perf_counter`, which BentoML takes too; `ended_wall_s` is the wall
    clock's at the end. `endpoint` is the template of the route, never the raw path. `task` serves it while it has a
    time limit, and `late_answer` is the 504 that it gets when that is over. `ledger` is the request's, if it is traced.
    """

    __slots__ = (
        "begun_s",
        "context",
        "ended_s",
        "ended_wall_s",
        "endpoint",
        "is_answered",
        "late_answer",
        "ledger",
        "response_headers",
        "scope",
        "status",
        "task",
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
        self.is_answered = False
        self.task: asyncio.Task[Any] | None = None
        self.late_answer: asyncio.Future[None] | None = None
