"""W3C Trace Context: the caller's trace goes on in the ledger, and the ledger's in whatever the request calls.

Source: https://www.w3.org/TR/trace-context/ (a malformed header starts a new trace; nothing of it is kept).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import AbstractContextManager
from contextvars import Token
from dataclasses import dataclass
from functools import cache
from random import getrandbits
from typing import Any

from opentelemetry.context import Context, attach, detach
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

from .ledger import BatchRecord, Ledger
from .trace_state import clean_trace_state, parse_trace_state

_TRACEPARENT = re.compile(rb"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_PARENT_BASED = re.compile(
    r"ParentBased\{root:(AlwaysOnSampler|AlwaysOffSampler|TraceIdRatioBased\{([\d.e-]+)\}),"
    r"remoteParentSampled:AlwaysOnSampler,remoteParentNotSampled:AlwaysOffSampler,.*\}"
)
KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"})
# Headers of that name that are read: each has an entry, and no more than 32 entries are kept.
_MAX_TRACE_STATES = 32
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_NOT_SAMPLED = TraceFlags(TraceFlags.DEFAULT)


@dataclass(frozen=True, slots=True)
class RemoteParent:
    """The caller's span, as its `traceparent` names it."""

    trace_id: int
    span_id: int
    sampled: bool


def parse_traceparent(value: bytes) -> RemoteParent | None:
    """Read a `traceparent` header; None if it is not valid."""
    match = _TRACEPARENT.fullmatch(value)
    if match is None:
        return None
    version, trace_hex, span_hex, flags_hex, rest = match.groups()
    trace_id, span_id = int(trace_hex, 16), int(span_hex, 16)
    if not trace_id or not span_id or (version == b"00" and rest is not None):
        return None
    return RemoteParent(trace_id, span_id, bool(int(flags_hex, 16) & TraceFlags.SAMPLED))


def start_ledger(
    headers: Iterable[tuple[bytes, bytes]],
    received_ns: int,
    sampler: Sampler,
    method: str = "",
    route: str | None = None,
) -> Ledger:
    """Begin a request's ledger in its caller's trace, or in a new one.

    Args:
        headers: as ASGI gives them, names in lower case.
        received_ns: monotonic time of the request's arrival.
        sampler: decides once, here, whether the request's spans are exported.
        method: the request's.
        route: its template, if it has one; both name the server span, for a sampler that goes by that.
    """
    parent, trace_state = _read_headers(headers)
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
    ledger.trace_state = trace_state
    ledger.method, ledger.route = method, route
    return ledger


def server_span_name(method: str, route: str | None) -> str:
    """What a request's server span is called. An unknown method is the client's free text, so it names no span."""
    verb = method if method in KNOWN_METHODS else "HTTP"
    return f"{verb} {route}" if route else verb


def _read_headers(headers: Iterable[tuple[bytes, bytes]]) -> tuple[RemoteParent | None, str | None]:
    parent: RemoteParent | None = None
    states: list[bytes] = []
    is_repeated = False
    for name, value in headers:
        if name == b"traceparent":
            is_repeated = is_repeated or parent is not None
            parent = parse_traceparent(value)
        elif name == b"tracestate":
            states.append(value)
    if parent is None or is_repeated:
        return None, None
    return parent, clean_trace_state(b",".join(states[:_MAX_TRACE_STATES]).decode("latin-1")) if states else None


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
        flags = _SAMPLED if parent.sampled else _NOT_SAMPLED
        remote = SpanContext(trace_id, parent.span_id, True, flags, parse_trace_state(trace_state))
        context = set_span_in_context(NonRecordingSpan(remote), context)
    decision = sampler.should_sample(context, trace_id, span_name, SpanKind.SERVER).decision
    return decision is Decision.RECORD_AND_SAMPLE


def span_context_of(ledger: Ledger) -> SpanContext:
    """The server span of a request, as OpenTelemetry names it."""
    flags = _SAMPLED if ledger.sampled else _NOT_SAMPLED
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
    token: Any = attach(Context({_SPAN_KEY: span}))
    around = getattr(token, "old_value", None)
    if around is not Token.MISSING and around != {}:  # another is current: what it holds stays
        detach(token)
        token = attach(set_span_in_context(span))
    return token


def call_span(parent: SpanContext, span_id: int) -> AbstractContextManager[Span]:
    """Where the span of a call, below `parent`, is the current one, so that what is sent says so."""
    context = SpanContext(parent.trace_id, span_id, False, parent.trace_flags, parent.trace_state)
    return use_span(NonRecordingSpan(context), record_exception=False, set_status_on_exception=False)


def batch_span_context_of(record: BatchRecord) -> SpanContext:
    """The span of a batch; sampled if any request in it is, when it begins."""
    return SpanContext(record.trace_id, record.span_id, False, _SAMPLED if record.is_sampled else _NOT_SAMPLED)


def context_with_batch(record: BatchRecord) -> Context:
    """The current context with the batch's span in it, in place of any request's."""
    return set_span_in_context(NonRecordingSpan(batch_span_context_of(record)))
