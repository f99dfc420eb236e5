"""The receiver with the SDK's own exporters: the data that it takes, and the effect of each fault."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import Link, SpanKind, StatusCode

from bento_monitor.testing import Fault, OtlpReceiver

BOTH = pytest.mark.parametrize("receiver", ["http/protobuf", "grpc"], indirect=True)


@pytest.fixture
def receiver(request: pytest.FixtureRequest) -> Iterator[OtlpReceiver]:
    with OtlpReceiver(request.param) as made:
        yield made


def exporter_to(receiver: OtlpReceiver, timeout_s: float = 2.0) -> Any:
    if receiver.protocol == "grpc":
        return GrpcExporter(endpoint=receiver.endpoint, insecure=True, timeout=timeout_s)
    return HttpExporter(endpoint=f"{receiver.endpoint}/v1/traces", timeout=timeout_s)


def finished(count: int = 1) -> list[ReadableSpan]:
    """Return two spans per trace: a server span, and its child with a link and an error."""
    provider = TracerProvider(resource=Resource({"service.name": "loans"}), shutdown_on_exit=False)
    tracer = provider.get_tracer("of the user")
    spans = []
    for _ in range(count):
        with (
            tracer.start_as_current_span("outer", kind=SpanKind.SERVER) as outer,
            tracer.start_as_current_span(
                "inner",
                attributes={"count": 3, "names": ["a", "b"], "ratio": 0.5, "is_new": True},
                links=[Link(outer.get_span_context())],
            ) as inner,
        ):
            inner.set_status(StatusCode.ERROR)
        spans += [outer, inner]
    return spans  # type: ignore[return-value]


def takes(exporter: Any) -> bool:
    """Return whether an export succeeded; exporters of earlier SDK versions raise an error if it did not."""
    try:
        return bool(exporter.export(finished()) is SpanExportResult.SUCCESS)
    except requests.RequestException:
        return False


@BOTH
def test_exported_spans_are_received_unchanged(receiver: OtlpReceiver) -> None:
    outer, inner = spans = finished()
    assert exporter_to(receiver).export(spans) is SpanExportResult.SUCCESS
    got_outer, got_inner = receiver.wait_for_spans(lambda got: len(got) == 2)
    assert got_outer.kind == "SERVER"
    assert got_outer.parent_span_id is None
    assert (got_inner.name, got_inner.service, got_inner.scope) == ("inner", "loans", "of the user")
    assert got_inner.parent_span_id == got_outer.span_id == format(outer.context.span_id, "016x")
    assert (got_inner.start_ns, got_inner.end_ns) == (inner.start_time, inner.end_time)
    assert (got_inner.is_error, got_outer.is_error) == (True, False)
    assert got_inner.attributes == {"count": 3, "names": ["a", "b"], "ratio": 0.5, "is_new": True}
    assert [link.span_id for link in got_inner.links] == [got_outer.span_id]


@pytest.mark.parametrize("receiver", ["http/protobuf"], indirect=True)
def test_compressed_exports_and_metrics_are_received(receiver: OtlpReceiver) -> None:
    from opentelemetry.exporter.otlp.proto.http import Compression

    HttpExporter(endpoint=f"{receiver.endpoint}/v1/traces", compression=Compression.Gzip).export(finished(20))
    assert len(receiver.spans()) == 40
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=f"{receiver.endpoint}/v1/metrics"))
    provider = MeterProvider([reader], shutdown_on_exit=False)
    provider.get_meter("test").create_counter("requests").add(3)
    provider.shutdown()
    assert [metric.name for metric in receiver.metrics()] == ["requests"]


@BOTH
@pytest.mark.parametrize("fault", [Fault.hang(), Fault.answer(400), Fault.answer(503), Fault.reset()], ids=str)
def test_fault_fails_exports_until_it_ends(receiver: OtlpReceiver, fault: Fault) -> None:
    exporter = exporter_to(receiver, timeout_s=0.5)
    with receiver.failing(fault):
        assert not takes(exporter)
    assert receiver.attempts >= 1
    assert receiver.spans() == []
    assert exporter.export(finished()) is SpanExportResult.SUCCESS
    assert len(receiver.spans()) == 2


@BOTH
def test_slow_answer_is_still_a_success(receiver: OtlpReceiver) -> None:
    started_s = time.monotonic()
    with receiver.failing(Fault.slow(0.2)):
        assert exporter_to(receiver).export(finished()) is SpanExportResult.SUCCESS
    assert time.monotonic() - started_s >= 0.2


@BOTH
def test_closed_receiver_can_listen_again(receiver: OtlpReceiver) -> None:
    exporter = exporter_to(receiver, timeout_s=0.5)
    receiver.stop_listening()
    assert not takes(exporter)
    receiver.listen_again()
    # gRPC retries an address that did not answer only after a while, even in a new channel.
    assert any(takes(exporter_to(receiver)) for _ in range(10))
    assert len(receiver.spans()) == 2


@pytest.mark.parametrize("receiver", ["http/protobuf"], indirect=True)
def test_failed_wait_says_what_arrived(receiver: OtlpReceiver) -> None:
    exporter_to(receiver).export(finished())
    with pytest.raises(TimeoutError, match="2 spans arrived within 0.1 s"):
        receiver.wait_for_spans(lambda got: len(got) > 2, timeout_s=0.1)
