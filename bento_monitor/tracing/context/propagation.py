"""Propagates the caller's context to the ledger, and the ledger's context to what the request calls."""

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
from .caller import NO_CALLER, Caller, CallerReader, RemoteParent, parse_trace_state

_PARENT_BASED = re.compile(
    r"ParentBased\{root:(AlwaysOnSampler|AlwaysOffSampler|TraceIdRatioBased\{([\d.e-]+)\}),"
    r"remoteParentSampled:AlwaysOnSampler,remoteParentNotSampled:AlwaysOffSampler,.*\}"
)
KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"})
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_NOT_SAMPLED = TraceFlags(TraceFlags.DEFAULT)
_RANDOM = 0x02  # W3C Trace Context, level 2: the trace id is random; participants pass this flag on
_W3C_READER = CallerReader()


def start_ledger(
    headers: Collection[tuple[bytes, bytes]],
    received_ns: int,
    sampler: Sampler,
    method: str = "",
    route: str | None = None,
    reader: CallerReader = _W3C_READER,
) -> Ledger:
    """Start a request's ledger in its caller's trace, or in a new trace.

    Args:
        headers: in ASGI's form, with names in lower case.
        received_ns: monotonic time of the request's arrival.
        sampler: decides here, once, whether the request's spans are exported.
        method: the HTTP method of the request.
        route: the route template of the request, if any. Method and route form the span name for the sampler.
        reader: reads the headers with the propagators of the process.
    """
    caller = reader.read(headers)
    parent, trace_state = caller.parent, caller.trace_state
    trace_id = parent.trace_id if parent is not None else getrandbits(128) or 1
    bound = _root_bound(sampler)
    if bound is None:
        sampled = _call_sampler(sampler, trace_id, parent, trace_state, server_span_name(method, route))
    elif parent is not None:
        sampled = parent.sampled
    else:
        sampled = trace_id & TraceIdRatioBased.TRACE_ID_LIMIT < bound
    parent_span_id = parent.span_id if parent is not None else 0
    ledger = Ledger(trace_id=trace_id, parent_span_id=parent_span_id, sampled=sampled, received_ns=received_ns)
    if caller is not NO_CALLER:
        ledger.trace_state, ledger.context = trace_state, caller.context
        ledger.is_trace_id_random = parent is not None and bool(parent.flags & _RANDOM)
    ledger.method, ledger.route = method, route
    return ledger


def server_span_name(method: str, route: str | None) -> str:
    """Return the name of a request's server span. Unknown methods are the client's free text and are left out."""
    verb = method if method in KNOWN_METHODS else "HTTP"
    return f"{verb} {route}" if route else verb


@cache
def _root_bound(sampler: Sampler) -> int | None:
    """Return the bound of the low 64 bits of a root span's trace id, below which it is sampled.

    Return None if the sampler must be called: it is not one of the SDK's, or it does not follow a remote parent.
    """
    is_known = type(sampler) in (ParentBased, ParentBasedTraceIdRatio)
    match = _PARENT_BASED.fullmatch(sampler.get_description()) if is_known else None
    if match is None:
        return None
    rate = {"AlwaysOnSampler": 1.0, "AlwaysOffSampler": 0.0}.get(match[1])
    return TraceIdRatioBased.get_bound_for_rate(float(match[2]) if rate is None else rate)


def _call_sampler(
    sampler: Sampler, trace_id: int, parent: RemoteParent | None, trace_state: str | None, span_name: str
) -> bool:
    context = Context()
    if parent is not None:
        flags = TraceFlags(parent.flags)
        remote = SpanContext(trace_id, parent.span_id, True, flags, parse_trace_state(trace_state))
        context = set_span_in_context(NonRecordingSpan(remote), context)
    decision = sampler.should_sample(context, trace_id, span_name, SpanKind.SERVER).decision
    return decision is Decision.RECORD_AND_SAMPLE


def span_context_of(ledger: Ledger) -> SpanContext:
    """Return the span context of a request's server span."""
    flags = _SAMPLED if ledger.sampled else _NOT_SAMPLED
    if ledger.is_trace_id_random:
        flags = TraceFlags(flags | _RANDOM)
    return SpanContext(ledger.trace_id, ledger.span_id, False, flags, parse_trace_state(ledger.trace_state))


class LedgerSpan(NonRecordingSpan):
    """A request's server span. Its span context is made on demand, because most requests create no user spans."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def get_span_context(self) -> SpanContext:
        """Return the span context of the server span."""
        return span_context_of(self._ledger)

    def __repr__(self) -> str:
        return f"LedgerSpan({self.get_span_context()!r})"


(_SPAN_KEY,) = set_span_in_context(INVALID_SPAN, Context())


def enter_request(ledger: Ledger) -> Any:
    """Make the request's server span the current span: spans that start inside it become its children.

    Returns:
        A token for `opentelemetry.context.detach`.
    """
    span = LedgerSpan(ledger)
    own = Context({_SPAN_KEY: span} if ledger.context is None else {**ledger.context, _SPAN_KEY: span})
    token: Any = attach(own)
    around = getattr(token, "old_value", None)
    if around is not Token.MISSING and around != {}:  # another context is current: its entries stay
        detach(token)
        token = attach(Context({**get_current(), **own}))
    return token


def context_of_caller(caller: Caller) -> Context | None:
    """Return the caller's context for user code in an untraced request; None if the caller sent no context."""
    if caller is NO_CALLER:
        return None
    context, parent = caller.context or Context(), caller.parent
    if parent is None:
        return context
    state = parse_trace_state(caller.trace_state)
    remote = SpanContext(parent.trace_id, parent.span_id, True, TraceFlags(parent.flags), state)
    return set_span_in_context(NonRecordingSpan(remote), context)


def call_span(parent: SpanContext, span_id: int) -> AbstractContextManager[Span]:
    """Return a context manager in which a call's span, a child of `parent`, is current and is propagated."""
    context = SpanContext(parent.trace_id, span_id, False, parent.trace_flags, parent.trace_state)
    return use_span(NonRecordingSpan(context), record_exception=False, set_status_on_exception=False)


def batch_span_context_of(record: BatchRecord) -> SpanContext:
    """Return the span context of a batch; sampled if any of its requests was sampled at the batch's start."""
    return SpanContext(record.trace_id, record.span_id, False, _SAMPLED if record.is_sampled else _NOT_SAMPLED)


def context_of_batch(record: BatchRecord) -> Context:
    """Return the context of a batch: its span, without the baggage or other entries of any of its requests."""
    return set_span_in_context(NonRecordingSpan(batch_span_context_of(record)), Context())
