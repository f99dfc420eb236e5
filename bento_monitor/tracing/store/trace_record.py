"""Records of stored traces, and the interface of trace readers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ...conventions import HTTP_RESPONSE_STATUS_CODE, HTTP_ROUTE, SCOPE_NAME


@dataclass(frozen=True, slots=True)
class SpanLink:
    """A link to another span.

    Examples:
        >>> SpanLink(trace_id="6364c409" * 4, span_id="00f067aa0ba902b7").span_id
        '00f067aa0ba902b7'
    """

    trace_id: str
    span_id: str


@dataclass(frozen=True, slots=True)
class SpanRecord:
    """One stored span: hexadecimal ids, times in Unix nanoseconds; `scope` is its instrumentation scope.

    Examples:
        >>> ids = "6364c409" * 4, "00f067aa0ba902b7", None
        >>> span = SpanRecord(*ids, "POST /embed", "SERVER", "Search", 10, 40, False, {}, ())
        >>> span.duration_ns
        30
    """

    trace_id: str
    span_id: str
    parent_span_id: str | None
    name: str
    kind: str
    service: str
    start_ns: int
    end_ns: int
    is_error: bool
    attributes: Mapping[str, Any]
    links: tuple[SpanLink, ...]
    scope: str = SCOPE_NAME

    @property
    def duration_ns(self) -> int:
        """Duration of the span."""
        return self.end_ns - self.start_ns


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """One line in a list of requests. `largest_stage` is the longest direct child span."""

    trace_id: str
    service: str
    name: str
    route: str | None
    status_code: int | None
    is_error: bool
    start_ns: int
    duration_ns: int
    largest_stage: str | None
    largest_stage_ns: int


@dataclass(frozen=True, slots=True)
class Trace:
    """The spans of one trace, the earliest first, and the spans of linked batches."""

    trace_id: str
    spans: tuple[SpanRecord, ...]
    linked: tuple[SpanRecord, ...]


def summary_of(server: SpanRecord, stages: Iterable[SpanRecord]) -> TraceSummary:
    """Summarize a request from its server span and the direct children of that."""
    largest = max(stages, key=lambda stage: stage.duration_ns, default=None)
    return TraceSummary(
        trace_id=server.trace_id,
        service=server.service,
        name=server.name,
        route=server.attributes.get(HTTP_ROUTE),
        status_code=server.attributes.get(HTTP_RESPONSE_STATUS_CODE),
        is_error=server.is_error,
        start_ns=server.start_ns,
        duration_ns=server.duration_ns,
        largest_stage=largest.name if largest is not None else None,
        largest_stage_ns=largest.duration_ns if largest is not None else 0,
    )


class TraceReader(Protocol):
    """Reader of a trace store, such as the embedded store or Jaeger."""

    def slowest(
        self, limit: int, *, service: str | None = None, since_ns: int | None = None, slower_than_ns: int = 0
    ) -> list[TraceSummary]:
        """Return the slowest requests, the slowest first."""
        ...

    def trace(self, trace_id_prefix: str) -> Trace:
        """Return the only trace whose id begins with a prefix.

        Raises:
            InputError: no trace or more than one matches.
        """
        ...
