"""The ledger: one small record per request, with timestamps in monotonic nanoseconds, for spans and metrics."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from random import getrandbits
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan

    from .device_clock import DeviceClock


CLIENT_DISCONNECTED = "ClientDisconnect"
"""The `error_type` of a request whose client disconnected before its response was complete."""


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One call of a model by a runner, in monotonic nanoseconds.

    `span_id` identifies the span of a call that runs in another process, where it is the parent span; 0 if the call
    runs in this process. `release` is the name of the release that ran, or "own" for the own model. `fallback` is the
    reason why the own model ran although a release is active. `method` is the model's method that was called; None if
    the model itself was called. `clock` measures the GPU time, if the call used a GPU; the GPU may still compute when
    the call has ended. `rows` is None if the arguments do not show the number of rows.
    """

    started_ns: int
    ended_ns: int
    runner: str
    backend: str
    precision: str | None
    release: str | None
    rows: int | None
    span_id: int = 0
    error_type: str | None = None
    fallback: str | None = None
    clock: DeviceClock | None = None
    method: str | None = None

    def gpu_ns(self) -> int | None:
        """Wait for the GPU and return its time for the call; None without a GPU, or if the device has failed since."""
        if self.clock is None:
            return None
        try:
            return self.clock.elapsed_ns()
        except RuntimeError:
            return None


@dataclass(frozen=True, slots=True)
class ServiceCall:
    """One call of another service, in monotonic nanoseconds, and the ids of its span."""

    started_ns: int
    ended_ns: int
    service: str
    method: str
    trace_id: int
    span_id: int
    parent_span_id: int
    error_type: str | None


class TracedWork:
    """Calls and user spans of a request or batch, noted from any thread.

    After `is_closed` is set nothing more is noted: what user code does later in the request's context is not part of
    the request.

    Lists are created only when they are needed: thousands of requests wait to be counted, and the garbage collector
    traverses every object that they hold.
    """

    __slots__ = ("held_spans", "is_closed", "model_calls", "service_calls")

    def __init__(self) -> None:
        self.is_closed = False
        self.held_spans: Sequence[ReadableSpan] = ()
        self.model_calls: Sequence[ModelCall] = ()
        self.service_calls: Sequence[ServiceCall] = ()

    def note_model_call(self, call: ModelCall) -> None:
        """Add a model call that has ended."""
        if not self.is_closed:
            self._list_of("model_calls").append(call)

    def note_service_call(self, call: ServiceCall) -> None:
        """Add a call of another service that has ended."""
        if not self.is_closed:
            self._list_of("service_calls").append(call)

    def hold(self, span: ReadableSpan) -> None:
        """Add a user span that has started; it is exported only if the request's spans are."""
        if not self.is_closed:
            self._list_of("held_spans").append(span)

    def _list_of(self, name: str) -> list[Any]:
        noted = getattr(self, name)
        if isinstance(noted, list):
            return noted
        with _create_lock:
            if not isinstance(getattr(self, name), list):
                setattr(self, name, [])
            created: list[Any] = getattr(self, name)
            return created


_create_lock = threading.Lock()


def _renew_lock() -> None:
    """Replace the lock in a forked child: another thread of the parent may have held it at the fork."""
    global _create_lock
    _create_lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)


class BatchRecord(TracedWork):
    """One batch of `size` requests: its API and its times in monotonic nanoseconds.

    `taken_ns` is the time when its requests were taken from the queue, `handed_ns` the time when the batch was complete
    and was passed to the function, `started_ns` the time when the function started.

    `asked_api` is the API that the clients of all its requests called; it differs from `api` if that API called `api`.
    It is None if it is unknown.

    `linked` holds the trace id and the infer span id of each exported request, added when the request ends. Ledgers
    there would form reference cycles with their `batch`, which only the garbage collector could free.
    `held_spans` are user spans in a batch without a sampled request. `row_traces` holds the trace id and the number of
    rows of each request, in the order of the rows; the id is 0 if the request is not monitored.
    """

    __slots__ = (
        "api",
        "asked_api",
        "ended_ns",
        "error_type",
        "handed_ns",
        "is_sampled",
        "linked",
        "members_left",
        "row_traces",
        "rows",
        "size",
        "span_id",
        "started_ns",
        "taken_ns",
        "trace_id",
    )

    def __init__(
        self, api: str, members: Sequence[Ledger], rows: int, started_ns: int, *, asked_api: str | None = None
    ) -> None:
        super().__init__()
        self.trace_id = getrandbits(128) or 1
        self.span_id = getrandbits(64) or 1
        self.api = api
        self.asked_api = asked_api
        self.size = len(members)
        self.is_sampled = any(member.sampled for member in members)
        self.members_left = len(members)
        self.linked: list[tuple[int, int]] = []
        self.row_traces: tuple[tuple[int, int], ...] = ()
        self.rows = rows
        self.taken_ns = started_ns
        self.handed_ns = 0
        self.started_ns = started_ns
        self.ended_ns = 0
        self.error_type: str | None = None

    def leave(self, member: Ledger) -> None:
        """Note that a request of the batch has ended."""
        self.members_left -= 1
        if member.is_kept:
            self.linked.append((member.trace_id, member.infer_span_id))

    @property
    def is_over(self) -> bool:
        """Whether the batch and all of its requests have ended, so that its links are known."""
        return self.members_left == 0 and self.ended_ns != 0


class ClientConnection(Protocol):
    """The server's state of a request's connection."""

    disconnected: bool


class Captured(Protocol):
    """Input fields of a request that are captured because the settings name them."""

    def attributes(self) -> dict[str, Any]:
        """Return the attributes for the server span."""
        ...


class Ledger(TracedWork):
    """Record of one request. A timestamp of 0 was not reached; the module `stages` defines the stages between them.

    `infer_span_id` is drawn when the request starts, so that a batch can link to it before the request has ended.
    `taken_ns` and `handed_ns` are the timestamps of its first batch.
    `held_spans` are user spans in an unsampled request.
    `sampling_reason` is the reason why the spans of an unsampled request are exported (tail sampling).
    `context` holds what the caller propagated besides its span, such as baggage. `is_trace_id_random` is the caller's
    flag for a random trace id.
    `task` names the API of a task, which runs after the request that submitted it; `submitted_by` is that request's
    span.
    `loop_lag_ns` is how long the event loop was busy before it read the request: the longest time that the request can
    have waited in the kernel.
    """

    __slots__ = (
        "api",
        "batch",
        "batch_position",
        "batch_rows",
        "captured",
        "connection",
        "context",
        "earlier_batches",
        "ended_ns",
        "entered_ns",
        "error_type",
        "first_byte_ns",
        "first_read_ns",
        "handed_ns",
        "infer_span_id",
        "is_trace_id_random",
        "loop_lag_ns",
        "method",
        "parent_span_id",
        "parsed_ns",
        "queued_ns",
        "read_ns",
        "received_ns",
        "route",
        "rows",
        "sampled",
        "sampling_reason",
        "scheme",
        "sent_ns",
        "serialize_started_ns",
        "serialized_ns",
        "span_id",
        "started_ns",
        "status",
        "submitted_by",
        "taken_ns",
        "task",
        "trace_id",
        "trace_state",
    )

    def __init__(self, *, trace_id: int, parent_span_id: int, sampled: bool, received_ns: int) -> None:
        super().__init__()
        self.trace_id = trace_id
        self.span_id = getrandbits(64) or 1
        self.infer_span_id = getrandbits(64) or 1
        self.parent_span_id = parent_span_id
        self.sampled = sampled
        self.trace_state: str | None = None
        self.is_trace_id_random = False
        self.task: str | None = None
        self.submitted_by: tuple[int, int] | None = None
        self.context: Context | None = None
        self.method = ""
        self.scheme = "http"
        self.route: str | None = None
        self.api: str | None = None
        self.status = 0
        self.error_type: str | None = None
        self.rows = 1
        self.batch: BatchRecord | None = None
        self.batch_position = 0
        self.batch_rows = 0
        self.earlier_batches: tuple[tuple[BatchRecord, int], ...] = ()
        self.sampling_reason: str | None = None
        self.captured: Captured | None = None
        self.loop_lag_ns = 0
        self.connection: ClientConnection | None = None
        self.received_ns = received_ns
        self.first_read_ns = 0
        self.entered_ns = 0
        self.read_ns = 0
        self.parsed_ns = 0
        self.queued_ns = 0
        self.taken_ns = 0
        self.handed_ns = 0
        self.started_ns = 0
        self.ended_ns = 0
        self.serialize_started_ns = 0
        self.serialized_ns = 0
        self.first_byte_ns = 0
        self.sent_ns = 0

    def stamp_sent(self, *, is_last: bool) -> None:
        """Record that a part of the response body was sent."""
        now_ns = time.monotonic_ns()
        self.first_byte_ns = self.first_byte_ns or now_ns
        if is_last:
            self.sent_ns = now_ns

    def join(self, batch: BatchRecord, position: int, rows: int) -> None:
        """Add the request to a batch, with `rows` rows. A request that is split or rerun is in several batches."""
        if self.batch is not None:
            self.earlier_batches = (*self.earlier_batches, (self.batch, self.batch_rows))
        self.batch, self.batch_position, self.batch_rows = batch, position, rows

    @property
    def batches(self) -> tuple[tuple[BatchRecord, int], ...]:
        """All batches of the request, with its rows in each."""
        return () if self.batch is None else (*self.earlier_batches, (self.batch, self.batch_rows))

    @property
    def is_kept(self) -> bool:
        """Whether its spans are exported: it was sampled at its start, or kept by tail sampling at its end."""
        return self.sampled or self.sampling_reason is not None

    @property
    def is_client_gone(self) -> bool:
        """Whether the client has closed its connection, so that nobody waits for the response."""
        return self.connection is not None and self.connection.disconnected


current_ledger: ContextVar[Ledger | None] = ContextVar("bento_monitor_ledger", default=None)
current_batch: ContextVar[BatchRecord | None] = ContextVar("bento_monitor_batch", default=None)


def traced_work() -> BatchRecord | Ledger | None:
    """Return the current batch or request; None outside of both, or without tracing."""
    return current_batch.get() or current_ledger.get()
