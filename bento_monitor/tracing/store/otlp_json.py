"""Converts OTLP traces in JSON to span records: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .trace_record import SpanLink, SpanRecord

_SERVICE_NAME = "service.name"
# In the order of their numbers in OTLP; Jaeger writes numbers, others write names.
_KINDS = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
_ERROR_CODES = (2, "STATUS_CODE_ERROR")


def spans_of_json(traces: Mapping[str, Any]) -> list[SpanRecord]:
    """Return the spans of OTLP's `TracesData` in JSON, with hexadecimal ids."""
    return [
        _json_span(span, str(_json_attributes(of_resource.get("resource", {})).get(_SERVICE_NAME, "")), of_scope)
        for of_resource in traces.get("resourceSpans", ())
        for of_scope in of_resource.get("scopeSpans", ())
        for span in of_scope.get("spans", ())
    ]


def _json_span(span: Mapping[str, Any], service: str, of_scope: Mapping[str, Any]) -> SpanRecord:
    kind = span.get("kind", 0)
    return SpanRecord(
        trace_id=span["traceId"],
        span_id=span["spanId"],
        parent_span_id=span.get("parentSpanId") or None,
        name=span["name"],
        kind=_KINDS[kind] if isinstance(kind, int) else kind.removeprefix("SPAN_KIND_"),
        service=service,
        start_ns=int(span["startTimeUnixNano"]),
        end_ns=int(span["endTimeUnixNano"]),
        is_error=span.get("status", {}).get("code") in _ERROR_CODES,
        attributes=_json_attributes(span),
        links=tuple(SpanLink(link["traceId"], link["spanId"]) for link in span.get("links", ())),
        scope=of_scope.get("scope", {}).get("name", ""),
    )


def _json_attributes(owner: Mapping[str, Any]) -> dict[str, Any]:
    return _json_pairs(owner.get("attributes", ()))


def _json_pairs(pairs: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {pair["key"]: _json_value(pair.get("value", {})) for pair in pairs}


def _json_value(value: Mapping[str, Any]) -> Any:
    for kind, read in _JSON_READERS.items():
        if kind in value:
            return read(value[kind])
    return None


def _json_list(value: Mapping[str, Any]) -> list[Any]:
    return [_json_value(each) for each in value.get("values", ())]


_JSON_READERS: Mapping[str, Callable[[Any], Any]] = {
    "stringValue": str,
    "boolValue": bool,
    "intValue": int,  # OTLP's JSON writes 64-bit integers as strings
    "doubleValue": float,
    "bytesValue": str,
    "arrayValue": _json_list,
    "kvlistValue": lambda value: _json_pairs(value.get("values", ())),
}
