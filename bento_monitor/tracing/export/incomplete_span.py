"""A substitute span for a request, batch or user span whose spans could not be built."""

from __future__ import annotations

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind

from ... import conventions as names
from ..ledger.ledger import BatchRecord, Ledger
from ..ledger.stages import Interval, request_interval
from ..privacy.allow_list import exportable_text
from .finished_span import FinishedSpan
from .span_builder import SpanBuilder, name_of


def incomplete_spans(
    builder: SpanBuilder, record: Ledger | BatchRecord | ReadableSpan, error: Exception
) -> list[FinishedSpan]:
    """Return one span with the record's name, ids and times and the type of the error; none if it is not exported."""
    if isinstance(record, Ledger):
        name, kind = name_of(record), SpanKind.SERVER
        ids = (record.trace_id, record.span_id, record.parent_span_id) if record.is_kept else None
        times = _wall(builder, request_interval(record))
    elif isinstance(record, BatchRecord):
        name, kind = names.SPAN_BATCH, SpanKind.INTERNAL
        ids = (record.trace_id, record.span_id, 0) if record.linked else None
        times = _wall(builder, Interval(record.started_ns, max(record.ended_ns, record.started_ns)))
    else:
        name, kind, context = str(record.name), record.kind, record.get_span_context()
        parent_span_id = record.parent.span_id if record.parent is not None else 0
        ids = (context.trace_id, context.span_id, parent_span_id) if context is not None else None
        times = (record.start_time or 0, record.end_time or record.start_time or 0)
    if ids is None:
        return []
    mark = {names.INCOMPLETE: type(error).__qualname__}
    return [
        FinishedSpan(exportable_text(name), kind, *ids, False, None, *times, dict(mark), (), False, builder.resource)
    ]


def _wall(builder: SpanBuilder, interval: Interval) -> tuple[int, int]:
    return builder.wall_ns(interval.start_ns), builder.wall_ns(interval.end_ns)
