"""Any client input is written escaped, in its own line and span, and does not affect later requests."""

from __future__ import annotations

import io
import json
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from bento_monitor import conventions as names
from bento_monitor.integrations.bentoml.log_lines import PlainAccessLog
from bento_monitor.request.access_log import AccessLogRules
from bento_monitor.request.exchange import Exchange
from bento_monitor.tracing.export.finished_span import FinishedSpan
from bento_monitor.tracing.export.otlp_encoder import encode_spans
from bento_monitor.tracing.export.pipeline import Pipeline
from bento_monitor.tracing.ledger.ledger import Ledger, current_ledger
from bento_monitor.tracing.privacy.allow_list import user_attributes
from bento_monitor.tracing.privacy.captured import InputCapture
from bento_monitor.tracing.store.writer import _row

ALL = AccessLogRules(True, True, True, True, ())
HEADER_BYTES = st.binary(max_size=64)
# Any text of Python, including lone surrogates.
TEXTS = st.text(st.characters(), max_size=64)
POWERS_OF_TEN = st.sampled_from([19, 400, 3_001, 5_000]).map(lambda digits: 10**digits)
NUMBERS = st.integers() | st.floats() | POWERS_OF_TEN | POWERS_OF_TEN.map(lambda number: -number)
VALUES = st.recursive(
    TEXTS | NUMBERS | st.none() | st.booleans() | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS | NUMBERS, inner, max_size=4),
    max_leaves=8,
)


class AsciiOutput(io.TextIOWrapper):
    """The standard output of a container without a locale."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="ascii", write_through=True)

    def lines(self) -> list[str]:
        return self.buffer.getvalue().decode("ascii").splitlines()  # type: ignore[attr-defined, no-any-return]


def written(*portions: list[Exchange]) -> list[str]:
    """Return the lines of the access log of a server with BentoML's logging configuration."""
    from bentoml._internal.log import DATE_FORMAT, TRACED_LOG_FORMAT, TraceRecordFilter

    stream = AsciiOutput()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter(TRACED_LOG_FORMAT, DATE_FORMAT))
    handler.addFilter(TraceRecordFilter())
    logger = logging.getLogger("bentoml.access")
    before = logger.level
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logger, "handlers", [handler])
        patch.setattr(logger, "propagate", False)
        logger.setLevel(logging.INFO)
        log = PlainAccessLog(ALL)
        for portion in portions:
            log.write(portion)
        logger.setLevel(before)
    return stream.lines()


def ended(path: str = "/plain", content_type: bytes = b"application/json", length: bytes = b"2") -> Exchange:
    headers = [(b"content-type", content_type), (b"content-length", length)]
    ledger = Ledger(trace_id=1, parent_span_id=0, sampled=True, received_ns=1)
    exchange = Exchange({"method": "POST", "path": path, "headers": headers, "client": ("c", 1)}, "x", 1.0, ledger)
    exchange.status, exchange.ended_s, exchange.ended_wall_s = 200, 1.01, 1_700_000_000.0
    exchange.response_headers = headers
    exchange.close()
    return exchange


@settings(max_examples=200, deadline=None)
@given(paths=st.lists(TEXTS, min_size=1, max_size=30), content_type=HEADER_BYTES, length=HEADER_BYTES)
def test_every_request_has_one_log_line_whatever_its_headers_and_path(
    paths: list[str], content_type: bytes, length: bytes
) -> None:
    lines = written([ended(path, content_type, length) for path in paths], [ended()])
    assert len(lines) == len(paths) + 1
    assert all(line.isprintable() for line in lines)
    assert "path=/plain,type=application/json,length=2) (status=200" in lines[-1]


def test_characters_outside_ascii_are_escaped() -> None:
    exchanges = [ended("/\u2603"), ended("/a\r\nb\x1b[2J\x00"), ended("/x", b"application/json;\xff")]
    snowman, controls, header = written(exchanges)
    assert "path=/\\u2603," in snowman
    assert "path=/a\\r\\nb\\x1b[2J\\x00," in controls
    assert "type=application/json;\\xff," in header


@settings(max_examples=300, deadline=None)
@given(value=VALUES, redacts=st.booleans())
def test_every_captured_field_is_shown_or_marked_and_exportable(value: Any, redacts: bool) -> None:
    ledger = Ledger(trace_id=1, parent_span_id=0, sampled=True, received_ns=1)
    token = current_ledger.set(ledger)
    try:
        InputCapture(["field", "plain"], redacts=redacts).note(SimpleNamespace(field=value, plain=7))
    finally:
        current_ledger.reset(token)
    assert ledger.captured is not None
    attributes = ledger.captured.attributes()
    assert attributes["bento_monitor.captured.plain"] == 7
    assert_can_be_exported(attributes)


@settings(max_examples=300, deadline=None)
@given(value=VALUES, name=TEXTS)
def test_every_user_attribute_is_shown_or_marked_and_exportable(value: Any, name: str) -> None:
    attributes = user_attributes({name: value, "plain": 7})
    assert attributes["plain"] == 7
    assert_can_be_exported(attributes)


def assert_can_be_exported(attributes: Any) -> None:
    from opentelemetry.trace import SpanKind

    resource = Resource({"service.name": "wild"})
    span = FinishedSpan("a", SpanKind.SERVER, 1, 2, 0, False, None, 1, 2, attributes, (), False, resource)
    assert encode_spans([span])
    row = _row(span)
    assert all(isinstance(each, str | int | None) for each in row)
    json.loads(row[-2], parse_constant=lambda constant: pytest.fail(f"{constant} is no JSON"))
    "".join(each for each in row if isinstance(each, str)).encode()


class Kept:
    """An exporter that keeps its spans."""

    def __init__(self) -> None:
        self.spans: list[FinishedSpan] = []

    def export(self, spans: Any) -> SpanExportResult:
        self.spans += spans
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        pass


class Unreadable(dict[str, Any]):
    def items(self) -> Any:
        raise ValueError("a bug of ours, or of a library's")


def test_record_that_cannot_be_built_has_one_marked_span() -> None:
    exporter = Kept()
    pipeline = Pipeline(lambda: [exporter], lambda: Resource({"service.name": "wild"}), 1_000)
    made: list[ReadableSpan] = []

    class Taking(SpanExporter):
        def export(self, spans: Any) -> Any:
            made.extend(spans)

        def shutdown(self) -> None:
            pass

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(Taking()))
    for _ in range(300):
        provider.get_tracer("wild").start_span("broken").end()
    for span in made:
        span._attributes = Unreadable({"a": 1})
        pipeline.submit_user_span(span)
    plain = Ledger(trace_id=7, parent_span_id=0, sampled=True, received_ns=1)
    plain.sent_ns, plain.status, plain.method = 2, 200, "POST"
    pipeline.submit(plain)
    pipeline.shutdown(5)
    broken = [span for span in exporter.spans if span.name == "broken"]
    assert len(broken) == 300
    assert {span.attributes[names.INCOMPLETE] for span in broken} == {"ValueError"}
    assert [span.trace_id for span in exporter.spans if span.name == "POST"] == [7]
    assert pipeline.stats().dropped == 0
