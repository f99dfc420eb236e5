"""The lines of a trace's waterfall: their content, not their drawing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ... import conventions as names
from .trace_record import SpanRecord, Trace


@dataclass(frozen=True, slots=True)
class WaterfallLine:
    """One span: its depth, and the start of its bar relative to the waterfall's start, and its length."""

    depth: int
    name: str
    start_offset_ns: int
    duration_ns: int
    note: str
    is_linked: bool
    is_error: bool


def waterfall(trace: Trace) -> list[WaterfallLine]:
    """Return the spans of a trace below their parents, the earliest first; a batch below the span linked to it."""
    if not trace.spans:
        return []
    start_ns = min(span.start_ns for span in trace.spans)
    known = {span.span_id for span in trace.spans}
    roots = [span for span in trace.spans if span.parent_span_id not in known]
    seen: set[tuple[str, str]] = set()
    return [line for root in roots for line in _lines(trace, root, 0, start_ns, is_linked=False, seen=seen)]


def _lines(
    trace: Trace, span: SpanRecord, depth: int, start_ns: int, *, is_linked: bool, seen: set[tuple[str, str]]
) -> Iterator[WaterfallLine]:
    # Traces of other tools may contain a cycle, and two spans may be linked to one batch.
    if (span.trace_id, span.span_id) in seen:
        return
    seen.add((span.trace_id, span.span_id))
    yield WaterfallLine(
        depth=depth,
        name=span.name,
        start_offset_ns=span.start_ns - start_ns,
        duration_ns=span.duration_ns,
        note=_note(span),
        is_linked=is_linked,
        is_error=span.is_error,
    )
    for child in _children(trace.linked if is_linked else trace.spans, span):
        yield from _lines(trace, child, depth + 1, start_ns, is_linked=is_linked, seen=seen)
    if not is_linked:
        for batch in _batches_of(trace, span):
            yield from _lines(trace, batch, depth + 1, start_ns, is_linked=True, seen=seen)


def _children(spans: Sequence[SpanRecord], parent: SpanRecord) -> list[SpanRecord]:
    return [span for span in spans if (span.trace_id, span.parent_span_id) == (parent.trace_id, parent.span_id)]


def _batches_of(trace: Trace, span: SpanRecord) -> list[SpanRecord]:
    targets = {(link.trace_id, link.span_id) for link in span.links}
    return [
        linked
        for linked in trace.linked
        if linked.name == names.SPAN_BATCH and (linked.trace_id, linked.span_id) in targets
    ]


def _note(span: SpanRecord) -> str:
    get = span.attributes.get
    parts: list[str] = []
    if get(names.HTTP_RESPONSE_STATUS_CODE) is not None:
        parts.append(f"status {get(names.HTTP_RESPONSE_STATUS_CODE)}")
    if get(names.BATCH_POSITION) is not None:
        parts.append(f"batch of {get(names.BATCH_SIZE)}, position {get(names.BATCH_POSITION)}")
    elif span.name == names.SPAN_BATCH:
        parts.append(f"{_counted(get(names.BATCH_SIZE), 'request')}, {get(names.BATCH_LINKED)} traced")
    elif get(names.RUNNER_NAME) is not None:
        parts.extend(_model_parts(span))
    if names.UNACCOUNTED_NS in span.attributes:
        parts.append(f"unaccounted {span.attributes[names.UNACCOUNTED_NS] / 1e6:.2f} ms")
    if get(names.ERROR_TYPE) is not None:
        parts.append(f"error {get(names.ERROR_TYPE)}")
    return ", ".join(parts)


def _model_parts(span: SpanRecord) -> list[str]:
    get = span.attributes.get
    execution = (get(names.RUNNER_BACKEND), get(names.RUNNER_PRECISION))
    method = get(names.RUNNER_METHOD)
    called = get(names.RUNNER_NAME) if method is None else f"{get(names.RUNNER_NAME)}.{method}"
    parts = [f"{called} on {' '.join(each for each in execution if each is not None)}"]
    release = get(names.RUNNER_RELEASE)
    if release == names.OWN_MODEL:
        parts.append("own model")
    elif release is not None:
        parts.append(f"release {release}")
    if get(names.RUNNER_FALLBACK) is not None:
        parts.append(f"instead of a release ({get(names.RUNNER_FALLBACK)})")
    if get(names.BATCH_ROWS) is not None:
        parts.append(_counted(get(names.BATCH_ROWS), "row"))
    return parts


def _counted(count: object, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
