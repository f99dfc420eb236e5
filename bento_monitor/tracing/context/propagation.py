"""The caller's context goes on in the ledger, and the ledger's in whatever the request calls."""

from __future__ import annotations

import re
from collections.abc import Collection
from contextlib import AbstractContextManager
from contextvars import Token
from functools import cache
from random import getrandbits
from typing import Any

from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.sdk.trace.sampling import (
    Decision,
    ParentBased,
    ParentBasedTraceIdRatio,
    Sampler,
    TraceIdRatioBased,
)
from opentelemetry.trace import (
    INVALID_SPAN,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    TraceFlags,
    set_span_in_context,
    use_span,
)

from ..ledger.ledger import BatchRecord, Ledger
from .caller import NOBODY, Caller, CallerReader, RemoteParent, parse_trace_state

_PARENT_BASED = re.compile(
    r"ParentBased\{root:(AlwaysOnSampler|AlwaysOffSampler|TraceIdRatioBased\{([\d.e-]+)\}),"
    r"remoteParentSampled:AlwaysOnSampler,remoteParentNotSampled:AlwaysOffSampler,.*\}"
)
KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"})
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_NOT_SAMPLED = TraceFlags(TraceFlags.DEFAULT)
_RANDOM = 0x02  # W3C Trace Context, level 2: how the trace's id was made, which whoever goes on in the trace passes on
_OF_W3C = CallerReader()


def start_ledger(
    headers: Collection[tuple[bytes, bytes]],
    received_ns: int,
    sampler: Sampler,
    method: str = "",
    route: str | None = None,
    reader: CallerReader = _OF_W3C,
) -> Ledger:
    """Begin a request's ledger in its caller's trace, or in a new one.

    Args:
        headers: as ASGI gives them, names in lower case.
        received_ns: monotonic time of the request's arrival.
        sampler: decides once, here, whether the request's spans are exported.
        method: the request's.
        route: its template, if it has one; both name the server span, for a sampler that goes by that.
        reader: reads the headers as the propagators of the process do.
    """
    caller = reader.read(headers)
    parent, trace_state = caller.parent, caller.trace_state
    trace_id = parent.trace_id if parent is not None else getrandbits(128) or 1
    bound = _root_bound(sampler)
    if bound is None:
        sampled = _ask(sampler, trace_id, parent, trace_state, server_span_name(method, route))
    elif parent is not None:
        sampled = parent.sampled
    else:
        sampled = trace_id & TraceIdRatioBased.TRACE_ID_LIMIT < bound
    parent_span_id = parent.span_id if parent is not None else 0
    ledger = Ledger(trace_id=trace_id, parent_span_id=parent_span_id, sampled=sampled, received_ns=received_ns)
    if caller is not NOBODY:
        ledger.trace_state, ledger.context = trace_state, caller.context
        ledger.is_trace_id_random = parent is not None and bool(parent.flags & _RANDOM)
    ledger.method, ledger.route = method, route
    return ledger


def server_span_name(method: str, route: str | None) -> str:
    """What a request's server span is called. An unknown method is the client's free text, so it names no span."""
    verb = method if method in KNOWN_METHODS else "HTTP"
    return f"{verb} {route}" if route else verb


@cache
def _root_bound(sampler: Sampler) -> int | None:
    """The value that the low 64 bits of a root's trace id must be below to be sampled.

    None for a sampler that must be asked: one that is not the SDK's own, or that does not leave it to a remote parent.
    """
    is_known = type(sampler) in (ParentBased, ParentBasedTraceIdRatio)
    match = _PARENT_BASED.fullmatch(sampler.get_description()) if is_known else None
    if match is None:
        return None
    rate = {"AlwaysOnSampler": 1.0, "AlwaysOffSampler": 0.0}.get(match[1])
    return TraceIdRatioBased.get_bound_for_rate(float(match[2]) if rate is None else rate)


def _ask(sampler: Sampler, trace_id: int, parent: RemoteParent | None, trace_state: str | None, span_name: str) -> bool:
    context = Context()
    if parent is not None:
        flags = TraceFlags(parent.flags)
        remote = SpanContext(trace_id, parent.span_id, True, flags, parse_trace_state(trace_state))
        context = set_span_in_context(NonRecordingSpan(remote), context)
    decision = sampler.should_sample(context, trace_id, span_name, SpanKind.SERVER).decision
    return decision is Decision.RECORD_AND_SAMPLE


def span_context_of(ledger: Ledger) -> SpanContext:
    """The server span of a request, as OpenTelemetry names it."""
    flags = _SAMPLED if ledger.sampled else _NOT_SAMPLED
    if ledger.is_trace_id_random:
        flags = TraceFlags(flags | _RANDOM)
    return SpanContext(ledger.trace_id, ledger.span_id, False, flags, parse_trace_state(ledger.trace_state))


class LedgerSpan(NonRecordingSpan):
    """The server span of a request, named only when something asks for it: most requests make no span of their own."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def get_span_context(self) -> SpanContext:
        """What names it."""
        return span_context_of(self._ledger)

    def __repr__(self) -> str:
        return f"LedgerSpan({self.get_span_context()!r})"


(_SPAN_KEY,) = set_span_in_context(INVALID_SPAN, Context())


def enter_request(ledger: Ledger) -> Any:
    """Make the request's server span the current one: what starts inside it becomes its child.

    Returns:
        A token for `opentelemetry.context.detach`.
    """
    span = LedgerSpan(ledger)
    own = Context({_SPAN_KEY: span} if ledger.context is None else {**ledger.context, _SPAN_KEY: span})
    token: Any = attach(own)
    around = getattr(token, "old_value", None)
    if around is not Token.MISSING and around != {}:  # another is current: what it holds stays
        detach(token)
        token = attach(Context({**get_current(), **own}))
    return token


def context_of_caller(caller: Caller) -> Context | None:
    """What code of the user's has of a caller where nothing is traced; None where the caller has said nothing."""
    if caller is NOBODY:
        return None
    context, parent = caller.context or Context(), caller.parent
    if parent is None:
        return context
    state = parse_trace_state(caller.trace_state)
    remote = SpanContext(parent.trace_id, parent.span_id, True, TraceFlags(parent.flags), state)
    return set_span_in_context(NonRecordingSpan(remote), context)


def call_span(parent: SpanContext, span_id: int) -> AbstractContextManager[Span]:
    """Where the span of a call, below `parent`, is the current one, so that what is sent says so."""
    context = SpanContext(parent.trace_id, span_id, False, parent.trace_flags, parent.trace_state)
    return use_span(NonRecordingSpan(context), record_exception=False, set_status_on_exception=False)


def batch_span_context_of(record: BatchRecord) -> SpanContext:
    """The span of a batch; sampled if any request in it is, when it begins."""
    return SpanContext(record.trace_id, record.span_id, False, _SAMPLED if record.is_sampled else _NOT_SAMPLED)


def context_of_batch(record: BatchRecord) -> Context:
    """The context of a batch: its span, and nothing of any one of its requests', such as that one's baggage."""
    return set_span_in_context(NonRecordingSpan(batch_span_context_of(record)), Context())
