"""A finished span for exporters: plain values, because tens of thousands are created per second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import SpanKind

from ...conventions import SCOPE_NAME
from ..privacy.allow_list import AttributeValue


@dataclass(slots=True)
class FinishedSpan:
    """One span. Ids are integers, 0 for no parent; times are Unix nanoseconds; links are pairs of trace and span id.

    `scope` is the instrumentation scope: the monitor's, or that of a user's tracer.
    """

    name: str
    kind: SpanKind
    trace_id: int
    span_id: int
    parent_span_id: int
    is_parent_remote: bool
    trace_state: str | None
    start_ns: int
    end_ns: int
    attributes: dict[str, AttributeValue]
    links: Sequence[tuple[int, int]]
    is_error: bool
    resource: Resource
    scope: str = SCOPE_NAME

    @property
    def parent_key(self) -> tuple[int, int] | None:
        """Trace and span id of the parent; None for a root span."""
        return (self.trace_id, self.parent_span_id) if self.parent_span_id else None

    @property
    def key(self) -> tuple[int, int]:
        """Trace and span id of this span."""
        return self.trace_id, self.span_id


class FinishedSpanExporter(Protocol):
    """An exporter of finished spans."""

    def export(self, spans: Sequence[FinishedSpan]) -> SpanExportResult:
        """Export spans; an exception counts as a failure."""

    def shutdown(self) -> None:
        """Close the exporter."""
