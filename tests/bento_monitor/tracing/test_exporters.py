from __future__ import annotations

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, DEFAULT_ON, ParentBasedTraceIdRatio

from bento_monitor.settings import MonitorSettings
from bento_monitor.telemetry_environment import OtlpOptions, TelemetryEnvironment, read_telemetry_environment
from bento_monitor.tracing.exporters import make_exporters, make_resource, make_sampler
from bento_monitor.tracing.store.database import store_path
from bento_monitor.tracing.telemetry import Telemetry

WAIT_S = 20.0


@pytest.fixture
def settings(tmp_path: Path) -> MonitorSettings:
    return MonitorSettings(home=tmp_path / "home")


@pytest.fixture(autouse=True)
def no_otel_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


class Receiver:
    """An OTLP/HTTP receiver on loopback, which keeps the messages and their headers."""

    def __init__(self, status: int = 200) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self.headers: list[dict[str, str]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.requests.append(ExportTraceServiceRequest.FromString(body))
                receiver.headers.append({name.lower(): value for name, value in self.headers.items()})
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()
        self.endpoint = f"http://127.0.0.1:{self.server.server_address[1]}"

    @property
    def spans(self):
        return [s for r in self.requests for rs in r.resource_spans for ss in rs.scope_spans for s in ss.spans]

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join(WAIT_S)
        self.server.server_close()


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.close()


def test_batch_of_200_arrives_by_otlp_with_every_link_and_trace(
    receiver: Receiver, settings: MonitorSettings, finished_batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=secret")
    telemetry = Telemetry("demo", settings)
    record = finished_batch(200, is_over=False)
    record.members[7].parent_span_id, record.members[7].trace_state = 99, "a=1"
    telemetry.finish_batch(record)
    for member in record.members:
        telemetry.finish(member)
    assert telemetry.flush(WAIT_S)
    telemetry.shutdown(WAIT_S)

    exporter = telemetry.stats().exporters[0]
    assert exporter.exported == len(receiver.spans) == 2 + 200 * 5
    assert receiver.headers[0]["x-key"] == "secret"
    (batch,) = [span for span in receiver.spans if span.name == "batch"]
    infers = [span for span in receiver.spans if span.name == "infer"]
    assert {(link.trace_id, link.span_id) for link in batch.links} == {(s.trace_id, s.span_id) for s in infers}
    assert len(batch.links) == 200
    assert batch.dropped_links_count == 0
    assert all([(link.trace_id, link.span_id) for link in s.links] == [(batch.trace_id, batch.span_id)] for s in infers)
    called = [span for span in receiver.spans if span.trace_state == "a=1" and span.kind == span.SPAN_KIND_SERVER]
    assert [int.from_bytes(span.parent_span_id) for span in called] == [99]
    scopes = {
        (s.scope.name, bool(s.schema_url)) for r in receiver.requests for rs in r.resource_spans for s in rs.scope_spans
    }
    assert scopes == {("bento_monitor", True)}
    resource = {a.key: a.value for a in receiver.requests[0].resource_spans[0].resource.attributes}
    assert resource["service.name"].string_value == "demo"
    assert not store_path(settings.home).exists()


def test_spans_refused_by_the_collector_are_counted(
    settings: MonitorSettings, finished_ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing = Receiver(status=400)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{refusing.endpoint}/v1/traces")
    telemetry = Telemetry("demo", settings)
    telemetry.finish(finished_ledger())
    assert telemetry.flush(WAIT_S)
    telemetry.shutdown(WAIT_S)
    refusing.close()
    exporter = telemetry.stats().exporters[0]
    assert (exporter.built, exporter.exported, exporter.dropped, exporter.queued) == (5, 0, 5, 0)


def test_traces_are_kept_in_the_embedded_store_by_default(settings: MonitorSettings, finished_ledger) -> None:
    from bento_monitor.tracing.store.reader import StoreReader

    telemetry = Telemetry("demo", settings)
    telemetry.finish(finished_ledger())
    telemetry.shutdown(WAIT_S)
    assert [item.service for item in StoreReader(store_path(settings.home)).slowest(5)] == ["demo"]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, ["StoreSpanExporter"]),
        ({"OTEL_SDK_DISABLED": "true"}, []),
        ({"OTEL_TRACES_EXPORTER": "none"}, []),
        ({"OTEL_TRACES_EXPORTER": "console"}, ["ConsoleExporter"]),
        ({"OTEL_TRACES_EXPORTER": "console, otlp"}, ["ConsoleExporter", "OtlpHttpExporter"]),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, ["OtlpHttpExporter"]),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_TRACES_EXPORTER": "none"}, []),
    ],
)
def test_standard_variables_select_the_exporters(
    variables: dict[str, str], expected: list[str], settings: MonitorSettings
) -> None:
    made = make_exporters(settings, read_telemetry_environment(variables))
    assert [type(exporter).__name__ for exporter in made] == expected
    for exporter in made:
        exporter.shutdown()


def test_grpc_is_used_if_the_protocol_says_so(settings: MonitorSettings) -> None:
    environment = TelemetryEnvironment(exporters=("otlp",), traces=OtlpOptions("grpc"))
    (exporter,) = make_exporters(settings, environment)
    assert "grpc" in type(exporter).__module__
    exporter.shutdown()


def test_forked_process_does_not_use_grpc_and_names_the_setting(settings: MonitorSettings) -> None:
    environment = TelemetryEnvironment(exporters=("otlp",), traces=OtlpOptions("grpc"))
    (exporter,) = make_exporters(settings, environment, is_forked=True)
    with pytest.raises(RuntimeError, match="OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"):
        exporter.export([])
    exporter.shutdown()


def test_service_name_is_used_unless_the_user_sets_another(monkeypatch: pytest.MonkeyPatch) -> None:
    attributes = make_resource("Encoder").attributes
    assert attributes["service.name"] == "Encoder"
    assert attributes["process.pid"] == os.getpid()
    assert attributes["service.instance.id"]
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,service.name=mine")
    assert make_resource("Encoder").attributes["service.name"] == "mine"
    assert make_resource("Encoder").attributes["deployment.environment.name"] == "test"
    monkeypatch.setenv("OTEL_SERVICE_NAME", "chosen")
    assert make_resource("Encoder").attributes["service.name"] == "chosen"


def test_sampler_is_the_one_in_the_standard_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    assert make_sampler() is DEFAULT_ON
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    assert make_sampler() is ALWAYS_OFF
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.25")
    sampler = make_sampler()
    assert isinstance(sampler, ParentBasedTraceIdRatio)
    assert "0.25" in sampler.get_description()


def test_console_prints_spans(
    settings: MonitorSettings, finished_ledger, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    telemetry = Telemetry("demo", settings)
    telemetry.finish(finished_ledger())
    telemetry.shutdown(WAIT_S)
    exporter = telemetry.stats().exporters[0]
    assert (exporter.name, exporter.exported) == ("ConsoleExporter", 5)
    assert not store_path(settings.home).exists()


def test_user_spans_nest_under_the_request_only_while_it_runs(settings: MonitorSettings) -> None:
    from opentelemetry import trace

    telemetry = Telemetry("demo", settings)
    ledger = telemetry.start_ledger([], 1)
    leave = telemetry.enter_request(ledger)
    assert trace.get_current_span().get_span_context().span_id == ledger.span_id
    leave()
    assert not trace.get_current_span().get_span_context().is_valid
