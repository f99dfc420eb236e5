"""Stored traces as records, and what any place that keeps traces must be able to answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ...conventions import HTTP_RESPONSE_STATUS_CODE, HTTP_ROUTE, SCOPE_NAME


@dataclass(frozen=True, slots=True)
class SpanLink:
    """Another span that a span is linked to."""

    trace_id: str
    span_id: str


@dataclass(frozen=True, slots=True)
class SpanRecord:
    """One span that was kept; ids in hexadecimal, times in Unix nanoseconds; `scope` is what made it."""

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
        """How long it lasted."""
        return self.end_ns - self.start_ns


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """One request, for a list of them. `largest_stage` is its longest direct child."""

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
    """The spans of one trace, the earliest first, and those of the batches that they are linked to."""

    trace_id: str
    spans: tuple[SpanRecord, ...]
    linked: tuple[SpanRecord, ...]


def summary_of(server: SpanRecord, stages: Iterable[SpanRecord]) -> TraceSummary:
    """A request for a list of them, from its server span and what lies directly below it."""
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
    """A place that keeps traces: the embedded store, or any other."""

    def slowest(
        self, limit: int, *, service: str | None = None, since_ns: int | None = None, slower_than_ns: int = 0
    ) -> list[TraceSummary]:
        """The requests that took longest, the slowest first."""
        ...

    def trace(self, trace_id_prefix: str) -> Trace:
        """The one trace whose id begins so.

        Raises:
            InputError: none does, or more than one.
        """
        ...
