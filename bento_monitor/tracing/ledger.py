"""The ledger: one small record a request, stamped in monotonic nanoseconds; spans and figures are derived from it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from random import getrandbits
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One call of a model by a runner, in monotonic nanoseconds."""

    started_ns: int
    ended_ns: int
    runner: str
    backend: str
    precision: str
    release: str | None
    rows: int


class BatchRecord:
    """One batch: what ran it, and when, in monotonic nanoseconds; `size` requests are in it.

    `linked` has the trace and the infer span of each that is sampled. The ledgers themselves would make a cycle with
    their `batch`, which only the garbage collector could free.
    """

    __slots__ = (
        "api",
        "ended_ns",
        "error_type",
        "linked",
        "model_calls",
        "rows",
        "size",
        "span_id",
        "started_ns",
        "trace_id",
    )

    def __init__(self, api: str, members: Sequence[Ledger], rows: int, started_ns: int) -> None:
        self.trace_id = getrandbits(128) or 1
        self.span_id = getrandbits(64) or 1
        self.api = api
        self.size = len(members)
        self.linked = tuple((member.trace_id, member.infer_span_id) for member in members if member.sampled)
        self.rows = rows
        self.started_ns = started_ns
        self.ended_ns = 0
        self.error_type: str | None = None
        self.model_calls: list[ModelCall] = []


class Connection(Protocol):
    """What the server knows of the connection that a request came on."""

    disconnected: bool


class Ledger:
    """What is known of one request. A stamp that is 0 was not reached.

    `infer_span_id` is drawn when the request starts, so that a batch can link to it before the request has ended.
    `queued_ns` to `started_ns` is the wait for a batch or a thread; `started_ns` to `ended_ns` the user's function.
    """

    __slots__ = (
        "api",
        "batch",
        "batch_position",
        "connection",
        "ended_ns",
        "error_type",
        "first_byte_ns",
        "infer_span_id",
        "method",
        "model_calls",
        "parent_span_id",
        "parsed_ns",
        "queued_ns",
        "received_ns",
        "route",
        "rows",
        "sampled",
        "scheme",
        "sent_ns",
        "serialize_started_ns",
        "serialized_ns",
        "span_id",
        "started_ns",
        "status",
        "trace_id",
        "trace_state",
    )

    def __init__(self, *, trace_id: int, parent_span_id: int, sampled: bool, received_ns: int) -> None:
        self.trace_id = trace_id
        self.span_id = getrandbits(64) or 1
        self.infer_span_id = getrandbits(64) or 1
        self.parent_span_id = parent_span_id
        self.sampled = sampled
        self.trace_state: str | None = None
        self.method = ""
        self.scheme = "http"
        self.route: str | None = None
        self.api: str | None = None
        self.status = 0
        self.error_type: str | None = None
        self.rows = 1
        self.batch: BatchRecord | None = None
        self.batch_position = 0
        self.model_calls: list[ModelCall] = []
        self.connection: Connection | None = None
        self.received_ns = received_ns
        self.parsed_ns = 0
        self.queued_ns = 0
        self.started_ns = 0
        self.ended_ns = 0
        self.serialize_started_ns = 0
        self.serialized_ns = 0
        self.first_byte_ns = 0
        self.sent_ns = 0

    def stamp_sent(self, *, is_last: bool) -> None:
        """A part of the answer's body has been sent."""
        now_ns = time.monotonic_ns()
        self.first_byte_ns = self.first_byte_ns or now_ns
        if is_last:
            self.sent_ns = now_ns

    @property
    def is_client_gone(self) -> bool:
        """Whether the client has closed its connection, so that nobody waits for the answer."""
        return self.connection is not None and self.connection.disconnected


current_ledger: ContextVar[Ledger | None] = ContextVar("bento_monitor_ledger", default=None)
current_batch: ContextVar[BatchRecord | None] = ContextVar("bento_monitor_batch", default=None)
