"""The ledger: one small record a request, stamped in monotonic nanoseconds; spans and figures are derived from it."""

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


CLIENT_LEFT = "ClientDisconnect"
"""The `error_type` of a request whose client had gone before its answer was whole."""


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One call of a model by a runner, in monotonic nanoseconds.

    `span_id` is that of a call that goes on in another process, which has it for its parent; 0 where it runs here.
    `release` is what ran, "own" where it was the user's own model; `fallback` says why that ran where a release is
    active. `method` is that of the model which was called, None where it was the model itself. `clock` is that of the
    GPU it ran on, if any; it may still run when the call has ended. `rows` are None where its arguments do not tell.
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
        """What the GPU took for it, which is waited for; None where it ran on none, or the device has failed since."""
        if self.clock is None:
            return None
        try:
            return self.clock.elapsed_ns()
        except RuntimeError:
            return None


@dataclass(frozen=True, slots=True)
class ServiceCall:
    """One call of another service, in monotonic nanoseconds, and where its span lies."""

    started_ns: int
    ended_ns: int
    service: str
    method: str
    trace_id: int
    span_id: int
    parent_span_id: int
    error_type: str | None


class Noted:
    """What happens in a request or a batch, on any thread, and in most of them does not.

    Once it `is_closed` nothing is noted any more: what user code does later, in a context that it has from the
    request, is no part of it.

    A list is made when it is needed: requests wait by the thousand to be counted, and the garbage collector walks what
    each of them holds.
    """

    __slots__ = ("held_spans", "is_closed", "model_calls", "service_calls")

    def __init__(self) -> None:
        self.is_closed = False
        self.held_spans: Sequence[ReadableSpan] = ()
        self.model_calls: Sequence[ModelCall] = ()
        self.service_calls: Sequence[ServiceCall] = ()

    def note_model_call(self, call: ModelCall) -> None:
        """A call of a model has ended."""
        if not self.is_closed:
            self._list_of("model_calls").append(call)

    def note_service_call(self, call: ServiceCall) -> None:
        """A call of another service has ended."""
        if not self.is_closed:
            self._list_of("service_calls").append(call)

    def hold(self, span: ReadableSpan) -> None:
        """A span of the user's code has begun that is exported only if those of the request are."""
        if not self.is_closed:
            self._list_of("held_spans").append(span)

    def _list_of(self, name: str) -> list[Any]:
        noted = getattr(self, name)
        if isinstance(noted, list):
            return noted
        with _first_note:
            if not isinstance(getattr(self, name), list):
                setattr(self, name, [])
            made: list[Any] = getattr(self, name)
            return made


_first_note = threading.Lock()


def _renew_lock() -> None:
    """Another thread of the parent may have held it at the fork."""
    global _first_note
    _first_note = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)


class BatchRecord(Noted):
    """One batch: what ran it, and when, in monotonic nanoseconds; `size` requests are in it.

    `taken_ns` is when its requests were taken from the queue, `handed_ns` when it was whole and went to the function,
    `started_ns` when the function began.

    `asked_api` is the API that the clients of all its requests have asked, which is another one where that called
    `api`; None where it cannot be told.

    `linked` gets the trace and the infer span of each whose spans are kept, which is known when it ends. The ledgers
    themselves would make a cycle with their `batch`, which only the garbage collector could free.
    `held_spans` are those of the user's code in a batch none of whose requests is sampled.
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
        self.rows = rows
        self.taken_ns = started_ns
        self.handed_ns = 0
        self.started_ns = started_ns
        self.ended_ns = 0
        self.error_type: str | None = None

    def leave(self, member: Ledger) -> None:
        """A request of it has ended."""
        self.members_left -= 1
        if member.is_kept:
            self.linked.append((member.trace_id, member.infer_span_id))

    @property
    def is_over(self) -> bool:
        """Whether it and all of its requests have ended, so that its links are known."""
        return self.members_left == 0 and self.ended_ns != 0


class Connection(Protocol):
    """What the server knows of the connection that a request came on."""

    disconnected: bool


class Captured(Protocol):
    """What was taken of a request's input because a person has asked for it."""

    def attributes(self) -> dict[str, Any]:
        """The attributes of the server span."""
        ...


class Ledger(Noted):
    """What is known of one request. A stamp that is 0 was not reached; `stages` says what lies between them.

    `infer_span_id` is drawn when the request starts, so that a batch can link to it before the request has ended.
    `taken_ns` and `handed_ns` are those of its first batch.
    `held_spans` are those of the user's code in a request that is not sampled.
    `sampling_reason` says why the spans of a request that was not sampled are exported all the same.
    `context` is what the caller's propagated beside its span, as baggage; `is_trace_id_random` is what that
    says of the trace's id.
    `task` names the API where a task computes, after the request that has submitted it: `submitted_by` is its span.
    `loop_lag_ns` is how long the loop was busy before it read the request: at most that long it lay in the kernel.
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
        self.connection: Connection | None = None
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
        """A part of the answer's body has been sent."""
        now_ns = time.monotonic_ns()
        self.first_byte_ns = self.first_byte_ns or now_ns
        if is_last:
            self.sent_ns = now_ns

    def join(self, batch: BatchRecord, position: int, rows: int) -> None:
        """Be in a batch, with so many rows; one that is cut, or run again, is in several."""
        if self.batch is not None:
            self.earlier_batches = (*self.earlier_batches, (self.batch, self.batch_rows))
        self.batch, self.batch_position, self.batch_rows = batch, position, rows

    @property
    def batches(self) -> tuple[tuple[BatchRecord, int], ...]:
        """All batches that it was in, with its rows in each."""
        return () if self.batch is None else (*self.earlier_batches, (self.batch, self.batch_rows))

    @property
    def is_kept(self) -> bool:
        """Whether its spans are exported: it was sampled when it began, or kept when it had ended."""
        return self.sampled or self.sampling_reason is not None

    @property
    def is_client_gone(self) -> bool:
        """Whether the client has closed its connection, so that nobody waits for the answer."""
        return self.connection is not None and self.connection.disconnected


current_ledger: ContextVar[Ledger | None] = ContextVar("bento_monitor_ledger", default=None)
current_batch: ContextVar[BatchRecord | None] = ContextVar("bento_monitor_batch", default=None)


def traced_work() -> BatchRecord | Ledger | None:
    """The batch or the request that the caller works for; None outside of both, and where nothing is traced."""
    return current_batch.get() or current_ledger.get()
