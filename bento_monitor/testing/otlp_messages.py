"""Converts OTLP messages to span records."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from ..tracing.store.trace_record import SpanLink, SpanRecord

_SERVICE_NAME = "service.name"
_KIND_PREFIX = "SPAN_KIND_"


def spans_of_message(body: bytes) -> list[SpanRecord]:
    """Return the spans of one `ExportTraceServiceRequest`.

    Raises:
        google.protobuf.message.DecodeError: the body is not such a message.
    """
    message = ExportTraceServiceRequest.FromString(body)
    return [
        _span(span, str(_attributes(of_resource.resource.attributes).get(_SERVICE_NAME, "")), of_scope.scope.name)
        for of_resource in message.resource_spans
        for of_scope in of_resource.scope_spans
        for span in of_scope.spans
    ]


def _span(span: Span, service: str, scope: str) -> SpanRecord:
    return SpanRecord(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_span_id=span.parent_span_id.hex() or None,
        name=span.name,
        kind=Span.SpanKind.Name(span.kind).removeprefix(_KIND_PREFIX),
        service=service,
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        is_error=span.status.code == Status.STATUS_CODE_ERROR,
        attributes=_attributes(span.attributes),
        links=tuple(SpanLink(link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        scope=scope,
    )


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    if kind == "kvlist_value":
        return _attributes(value.kvlist_value.values)
    return getattr(value, kind)
