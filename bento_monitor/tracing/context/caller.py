"""Reads the caller from a request's headers, with the formats of this process's propagators.

W3C's format is parsed here, in a tenth of the SDK's time; other formats are parsed by their propagator.

Source: https://opentelemetry.io/docs/specs/otel/context/api-propagators/ and https://www.w3.org/TR/trace-context/ (a
malformed header is ignored, and the request starts a new trace).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from opentelemetry import trace
from opentelemetry.baggage import set_baggage
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import SpanContext, TraceFlags, TraceState
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_TRACEPARENT = re.compile(rb"[ \t]*(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?[ \t]*")
# `tracestate` headers that are read: each has at least one entry, and at most 32 entries are kept.
_MAX_TRACE_STATES = 32
_MAX_CHARS = 512
_MAX_ENTRIES = 32
# No entry beyond this length could be kept: a longer header is abuse.
_READ_CHARS = 2048
_KEY = r"(?:[a-z][_0-9a-z\-*/]{0,255}|[a-z0-9][_0-9a-z\-*/]{0,240}@[a-z][_0-9a-z\-*/]{0,13})"
_VALUE = r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
_ENTRY = re.compile(f"({_KEY})={_VALUE}")
_TRACE_FIELDS = frozenset({b"traceparent", b"tracestate"})
_FIELDS = _TRACE_FIELDS | {b"baggage"}
_BAGGAGE = W3CBaggagePropagator()
(_BAGGAGE_KEY,) = set_baggage("key", "value", Context())
# Entries that the SDK's propagator would return unchanged: parsed here, in a fourth of its time.
_PLAIN_ENTRY = rb"[!#$&'*.^_`|~0-9A-Za-z-]+=[!#$&-*\x2d-:<-\[\]-~]+"
_PLAIN_BAGGAGE = re.compile(rb"%b(?:,%b)*" % (_PLAIN_ENTRY, _PLAIN_ENTRY))
_LONGEST_PLAIN = 512  # fewer entries than the SDK's limit
_W3C: frozenset[type] = frozenset({TraceContextTextMapPropagator, W3CBaggagePropagator})
_Headers = Collection[tuple[bytes, bytes]]


class RemoteParent(NamedTuple):
    """The caller's span from `traceparent`; `flags` are all of its flags, including the sampled flag."""

    trace_id: int
    span_id: int
    flags: int

    @property
    def sampled(self) -> bool:
        """Whether the caller has sampled its span."""
        return bool(self.flags & TraceFlags.SAMPLED)


class Caller(NamedTuple):
    """The caller's span if given, the trace state, and the rest of its context.

    The rest is baggage, or what the service's own propagators extract.
    """

    parent: RemoteParent | None = None
    trace_state: str | None = None
    context: Context | None = None


NO_CALLER = Caller()


class _HeaderGetter(Getter[dict[str, list[str]]]):
    def get(self, carrier: dict[str, list[str]], key: str) -> list[str] | None:
        return carrier.get(key.lower())

    def keys(self, carrier: dict[str, list[str]]) -> list[str]:
        return list(carrier)


class CallerReader:
    """Reads callers from headers with the propagators of the process."""

    def __init__(self, propagator: Any = None, *, keeps_trace_state: bool = True) -> None:
        """`propagator` is OpenTelemetry's global propagator; None means its default, W3C Trace Context and Baggage."""
        self._most_states = _MAX_TRACE_STATES if keeps_trace_state else 0
        kinds = _W3C if propagator is None else _kinds_of(propagator)
        self._propagator = None if kinds else propagator
        self._reads_trace = TraceContextTextMapPropagator in kinds
        self._reads_baggage = W3CBaggagePropagator in kinds
        self._fields = frozenset(field.lower().encode() for field in getattr(propagator, "fields", ()))

    def read(self, headers: _Headers) -> Caller:
        """Read the caller from headers in ASGI's form, with names in lower case."""
        return self._read_w3c(headers) if self._propagator is None else self._read_by(self._propagator, headers)

    def headers_below(self, headers: _Headers, span: SpanContext) -> list[tuple[bytes, bytes]]:
        """Return the headers that a caller with the span `span` would send; baggage is unchanged.

        Frameworks with their own tracing read their caller only from headers, not from the context.
        """
        if self._propagator is None:
            if not self._reads_trace:
                return list(headers)
            kept = [pair for pair in headers if pair[0] not in _TRACE_FIELDS]
            sent = [(b"traceparent", _traceparent_of(span))]
            if span.trace_state:
                sent.append((b"tracestate", span.trace_state.to_header().encode("latin-1", "replace")))
            return kept + sent
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        given = {name.lower().encode("latin-1"): value.encode("latin-1", "replace") for name, value in carrier.items()}
        return [pair for pair in headers if pair[0] not in self._fields and pair[0] not in given] + list(given.items())

    def _read_w3c(self, headers: _Headers) -> Caller:
        for name, _ in headers:
            if name in _FIELDS:
                return self._read_fields(headers)
        return NO_CALLER

    def _read_fields(self, headers: _Headers) -> Caller:
        parent: RemoteParent | None = None
        states: list[bytes] = []
        baggage: list[bytes] = []
        parents = 0
        for name, value in headers:
            if name == b"traceparent":
                parents += 1
                parent = parse_traceparent(value)
            elif name == b"tracestate":
                states.append(value)
            elif name == b"baggage":
                baggage.append(value)
        if not parents and not baggage:
            return NO_CALLER
        context = read_baggage(baggage) if baggage and self._reads_baggage else None
        if parent is None or parents > 1 or not self._reads_trace:
            return Caller(context=context)
        text = b",".join(states[: self._most_states]).decode("latin-1") if states else None
        return Caller(parent, clean_trace_state(text) if text else None, context)

    def _read_by(self, propagator: Any, headers: _Headers) -> Caller:
        pairs = list(headers)
        if not any(name in self._fields for name, _ in pairs):
            return NO_CALLER
        carrier: dict[str, list[str]] = {}
        for name, value in pairs:
            carrier.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
        context: Context = propagator.extract(carrier, Context(), getter=_HeaderGetter())
        found = trace.get_current_span(context).get_span_context()
        if not found.is_valid:
            return Caller(context=context)
        parent = RemoteParent(found.trace_id, found.span_id, int(found.trace_flags))
        state = found.trace_state.to_header() if found.trace_state and self._most_states else ""
        return Caller(parent, clean_trace_state(state) if state else None, context)


def _traceparent_of(span: SpanContext) -> bytes:
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{int(span.trace_flags):02x}".encode()


def parse_traceparent(value: bytes) -> RemoteParent | None:
    """Parse a `traceparent` header; return None if it is not valid."""
    match = _TRACEPARENT.fullmatch(value)
    if match is None:
        return None
    version, trace_hex, span_hex, flags_hex, rest = match.groups()
    trace_id, span_id = int(trace_hex, 16), int(span_hex, 16)
    if not trace_id or not span_id or (version == b"00" and rest is not None):
        return None
    return RemoteParent(trace_id, span_id, int(flags_hex, 16))


def read_baggage(values: Sequence[bytes]) -> Context | None:
    """Return a context with the entries of `baggage` headers; None if there are no entries."""
    if len(values) == 1 and len(values[0]) <= _LONGEST_PLAIN and _PLAIN_BAGGAGE.fullmatch(values[0]) is not None:
        entries = [entry.split("=", 1) for entry in values[0].decode("ascii").split(",")]
        return Context({_BAGGAGE_KEY: dict(entries)})
    text = b",".join(values).decode("latin-1")
    return _BAGGAGE.extract({"baggage": text}, Context()) or None


def _kinds_of(propagator: Any) -> frozenset[type]:
    """Return the W3C propagators of which a propagator consists; an empty set if it has any other."""
    inner = getattr(propagator, "_propagators", ()) if type(propagator) is CompositePropagator else (propagator,)
    kinds = frozenset(map(type, inner))
    return kinds if kinds <= _W3C else frozenset()


def clean_trace_state(text: str) -> str | None:
    """Return the first entries that fit into 512 characters; None without entries or if an entry is malformed.

    Text that the SDK would reject is rejected here without its log line, because the text is the client's.
    """
    kept: list[str] = []
    seen: set[str] = set()
    length = -1
    if len(text) > _READ_CHARS:
        text = text[:_READ_CHARS].rpartition(",")[0]
    for part in text.split(","):
        entry = part.strip(" \t")
        if not entry:
            continue
        match = _ENTRY.fullmatch(entry)
        if match is None or (key := match[1]) in seen:
            return None
        seen.add(key)
        length += len(entry) + 1
        if length > _MAX_CHARS or len(kept) == _MAX_ENTRIES:
            break
        kept.append(entry)
    return ",".join(kept) or None


def parse_trace_state(text: str | None) -> TraceState | None:
    """Convert a cleaned trace state to the SDK's class."""
    return TraceState.from_header([text]) if text else None
