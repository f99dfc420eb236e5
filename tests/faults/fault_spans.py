"""The spans that a receiver has taken, by the process that sent them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bento_monitor.testing import OtlpReceiver


@dataclass(frozen=True, slots=True)
class SentSpan:
    """A span, and the process and instance that its resource names."""

    pid: int
    instance: str
    span_id: bytes
    name: str


def sent_spans(receiver: OtlpReceiver) -> list[SentSpan]:
    """Every span of every export, in order."""
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
    """How many of them had come before."""
    return len(spans) - len({span.span_id for span in spans})


def count_by_process(spans: Sequence[SentSpan]) -> dict[int, int]:
    """How many came from each process."""
    return dict(Counter(span.pid for span in spans))
