"""Converts finished spans to the SDK's spans, for exporters and processors that need them.

The SDK's spans are constructed directly, so that the SDK's limits (128 links) do not apply.
"""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, Status, StatusCode, TraceFlags

from ... import conventions as names
from ..context.caller import parse_trace_state
from .finished_span import FinishedSpan

_SCOPE = InstrumentationScope(names.SCOPE_NAME, schema_url=names.SCHEMA_URL)
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


def to_sdk_span(span: FinishedSpan) -> ReadableSpan:
    """Convert one span to the SDK's class."""
    state = parse_trace_state(span.trace_state)
    parent = None
    if span.parent_span_id:
        parent = SpanContext(span.trace_id, span.parent_span_id, span.is_parent_remote, _SAMPLED, state)
    return ReadableSpan(
        span.name,
        SpanContext(span.trace_id, span.span_id, False, _SAMPLED, state),
        parent,
        span.resource,
        span.attributes,
        links=[Link(SpanContext(*ids, False, _SAMPLED)) for ids in span.links],
        kind=span.kind,
        status=Status(StatusCode.ERROR if span.is_error else StatusCode.UNSET),
        start_time=span.start_ns,
        end_time=span.end_ns,
        instrumentation_scope=_SCOPE if span.scope == names.SCOPE_NAME else InstrumentationScope(span.scope),
    )


class ConsoleExporter:
    """Prints spans as the SDK's console exporter does."""

    def __init__(self) -> None:
        self._exporter = ConsoleSpanExporter()

    def export(self, spans: Sequence[FinishedSpan]) -> SpanExportResult:
        """Print spans."""
        return self._exporter.export([to_sdk_span(span) for span in spans])

    def shutdown(self) -> None:
        """Close the SDK's exporter."""
        self._exporter.shutdown()
