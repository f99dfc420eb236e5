"""A finished span as the pipeline hands it to exporters: plain values, made by the tens of thousands a second."""

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
    """One span. Ids as integers, 0 for no parent; times in Unix nanoseconds; links as pairs of trace and span id.

    `scope` is what made it: ours, or the tracer of a user.
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
        """Trace and span id of its parent; None for a root."""
        return (self.trace_id, self.parent_span_id) if self.parent_span_id else None

    @property
    def key(self) -> tuple[int, int]:
        """Its trace and span id, as a link names it."""
        return self.trace_id, self.span_id


class FinishedSpanExporter(Protocol):
    """Where finished spans go."""

    def export(self, spans: Sequence[FinishedSpan]) -> SpanExportResult:
        """Take spans; an exception is a failure as well."""

    def shutdown(self) -> None:
        """Close."""
