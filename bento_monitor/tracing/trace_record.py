"""Stored traces as records, and what any place that keeps traces must be able to answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class SpanLink:
    """Another span that a span is linked to."""

    trace_id: str
    span_id: str


@dataclass(frozen=True, slots=True)
class SpanRecord:
    """One stored span; ids in hexadecimal, times in Unix nanoseconds."""

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
