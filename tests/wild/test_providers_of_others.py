"""A tracer provider is recognised by its capabilities, not by its class: one trace goes to one place."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from bento_monitor.settings import MonitorSettings
from bento_monitor.tracing.ledger.ledger import Ledger
from bento_monitor.tracing.telemetry import Telemetry
from bento_monitor.tracing.user_provider import find_user_provider


class Wrapping(trace.TracerProvider):
    """A provider like Logfire's: its own class, with the SDK's provider inside."""

    def __init__(self, inner: Any) -> None:
        self.provider = inner

    def get_tracer(self, *args: Any, **options: Any) -> Any:
        return self.provider.get_tracer(*args, **options)


class Foreign(trace.TracerProvider):
    """A provider without anything of the SDK."""

    def get_tracer(self, *_args: Any, **_options: Any) -> Any:
        return trace.NoOpTracer()


class Circle(Foreign):
    @property
    def provider(self) -> Any:
        return self


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def sdk(exporter: InMemorySpanExporter) -> TracerProvider:
    provider = TracerProvider(resource=Resource({"service.name": "theirs"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider


def put(provider: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_wrapped_provider_gets_the_spans_of_requests(
    depth: int, sdk: TracerProvider, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    given: Any = sdk
    for _ in range(depth):
        given = Wrapping(given)
    put(given, monkeypatch)
    telemetry = Telemetry("ours", MonitorSettings(home=tmp_path))
    assert telemetry.adopt_user_provider()
    ledger: Ledger = telemetry.start_ledger([], 1, "POST", "/x")
    ledger.sent_ns, ledger.status = 2, 200
    telemetry.finish(ledger)
    telemetry.shutdown(5)
    (span,) = exporter.get_finished_spans()
    assert (span.name, span.resource.attributes["service.name"]) == ("POST /x", "theirs")


@pytest.mark.parametrize("given", [Foreign(), Wrapping(Foreign()), Circle()])
def test_provider_that_accepts_no_finished_spans_is_logged(
    given: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    put(given, monkeypatch)
    assert find_user_provider() is None
    (record,) = caplog.records
    assert f"{type(given).__qualname__} takes no finished spans" in record.getMessage()


@pytest.mark.parametrize("given", [trace.ProxyTracerProvider(), trace.NoOpTracerProvider()])
def test_missing_provider_logs_nothing(
    given: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    put(given, monkeypatch)
    assert find_user_provider() is None
    assert caplog.records == []
