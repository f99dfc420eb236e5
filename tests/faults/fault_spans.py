"""The spans that a receiver got, by sending process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bento_monitor.testing import OtlpReceiver


@dataclass(frozen=True, slots=True)
class SentSpan:
    """A span, with process and instance from its resource."""

    pid: int
    instance: str
    span_id: bytes
    name: str


def sent_spans(receiver: OtlpReceiver) -> list[SentSpan]:
    """Return every span of every export, in order."""
    found = []
    for export in receiver.exports:
        for of_resource in ExportTraceServiceRequest.FromString(export.body).resource_spans:
            attributes = {pair.key: pair.value for pair in of_resource.resource.attributes}
            pid = attributes["process.pid"].int_value
            instance = attributes["service.instance.id"].string_value
            for of_scope in of_resource.scope_spans:
                found += [SentSpan(pid, instance, span.span_id, span.name) for span in of_scope.spans]
    return found


def duplicates(spans: Sequence[SentSpan]) -> int:
    """Count the repeated spans."""
    return len(spans) - len({span.span_id for span in spans})


def count_by_process(spans: Sequence[SentSpan]) -> dict[int, int]:
    """Count the spans of each process."""
    return dict(Counter(span.pid for span in spans))
