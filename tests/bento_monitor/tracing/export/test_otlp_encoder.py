"""The bytes of encoded spans: field by field those of the SDK's own encoder."""

from __future__ import annotations

import tracemalloc
from importlib.metadata import version

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as encode_sdk_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import SpanKind
from packaging.version import Version

from bento_monitor.tracing.export.finished_span import FinishedSpan
from bento_monitor.tracing.export.otlp_encoder import encode_spans
from bento_monitor.tracing.export.otlp_http import OtlpHttpExporter
from bento_monitor.tracing.export.sdk_spans import to_sdk_span

RESOURCES = (
    Resource({"service.name": "demo", "process.pid": 7}, "https://schema"),
    Resource({"service.name": "other", "tags": ["a", "b"], "ratio": 0.5, "on": True}),
)
SPAN_IDS = st.integers(1, 2**64 - 1)
TRACE_IDS = st.integers(1, 2**128 - 1)
VALUES = (
    st.integers(-(2**63), 2**63 - 1)
    | st.integers(0, 2**21)
    | st.text(max_size=300)
    | st.booleans()
    | st.floats(allow_nan=False)
)
SPANS = st.builds(
    FinishedSpan,
    name=st.text(max_size=200),
    kind=st.sampled_from(SpanKind),
    trace_id=TRACE_IDS,
    span_id=SPAN_IDS,
    parent_span_id=SPAN_IDS | st.just(0),
    is_parent_remote=st.just(False),
    trace_state=st.sampled_from([None, "a=1", "a=1,b=two"]),
    start_ns=st.integers(0, 2**63),
    end_ns=st.integers(0, 2**63),
    attributes=st.dictionaries(st.text(min_size=1, max_size=200), VALUES, max_size=20),
    links=st.lists(st.tuples(TRACE_IDS, SPAN_IDS), max_size=5),
    is_error=st.booleans(),
    resource=st.sampled_from(RESOURCES),
)


@given(st.lists(SPANS, min_size=1, max_size=5), st.booleans())
@settings(max_examples=300, deadline=None)
def test_encoded_bytes_decode_like_the_sdks(spans: list[FinishedSpan], is_remote: bool) -> None:
    for span in spans:
        span.is_parent_remote = is_remote and span.parent_span_id != 0
    ours = ExportTraceServiceRequest.FromString(encode_spans(spans))
    assert ours == encode_sdk_spans([to_sdk_span(span) for span in spans])


def test_spans_are_encoded_here_exactly_if_the_sdk_has_its_own_client() -> None:
    exporter = OtlpHttpExporter()
    installed = Version(version("opentelemetry-exporter-otlp-proto-http"))
    try:
        assert exporter.is_encoding == (installed >= Version("1.45"))
    finally:
        exporter.shutdown()


def test_long_user_texts_are_not_kept_in_memory() -> None:
    def span(number: int) -> FinishedSpan:
        text = f"{number:5}" * 3_000
        ids = (1, number + 1, 0, False, None, 1, 2)
        return FinishedSpan(text, SpanKind.INTERNAL, *ids, {text: text, text[:500]: 1}, (), False, RESOURCES[0])

    encode_spans([span(0)])
    tracemalloc.start()
    try:
        for number in range(300):
            encode_spans([span(number)])
        kept_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept_bytes < 300_000
