"""Reads traces from Jaeger's query API as span records."""

from __future__ import annotations

from collections.abc import Iterable

from ..tracing.store.jaeger_reader import JaegerReader
from ..tracing.store.trace_record import SpanRecord


def read_jaeger(url: str, trace_ids: Iterable[str]) -> list[SpanRecord]:
    """Read the spans of traces; traces that Jaeger does not have are left out.

    Args:
        url: URL of Jaeger's query service, such as `http://127.0.0.1:16686`.
        trace_ids: complete ids of 32 hexadecimal digits.

    Examples:
        >>> read_jaeger("http://127.0.0.1:16686", [])
        []

    Raises:
        InputError: Jaeger cannot be reached, or returns an error.
    """
    reader = JaegerReader(url)
    return [span for trace_id in trace_ids for span in reader.spans(trace_id)]
