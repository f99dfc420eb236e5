"""Jaeger stops under load and comes back: no request fails, exports resume, and lost spans are counted."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from jaeger_server import JaegerServer, running_jaeger
from waiting import wait_until

from bento_monitor.lab.loadgen import LoadSpec, start_load
from bento_monitor.lab.server.process import start_server
from bento_monitor.lab.server.server_spec import ServerSpec
from bento_monitor.settings import MonitorSettings
from bento_monitor.tracing.export.pipeline import PipelineStats
from bento_monitor.tracing.telemetry import Telemetry

SERVICES = Path(__file__).parent / "services"
RESUMED_WITHIN_S = 10.0
EACH = 300
WAIT_S = 30.0


@pytest.fixture
def own_jaeger(jaeger_binary: Path, tmp_path: Path) -> Iterator[JaegerServer]:
    with running_jaeger(jaeger_binary, tmp_path / "jaeger.log") as server:
        yield server


def endpoint(jaeger: JaegerServer, protocol: str) -> dict[str, str]:
    url = jaeger.otlp_grpc_endpoint if protocol == "grpc" else jaeger.otlp_http_endpoint
    return {"OTEL_EXPORTER_OTLP_PROTOCOL": protocol, "OTEL_EXPORTER_OTLP_ENDPOINT": url}


def trace_ids(jaeger: JaegerServer, service: str) -> set[str]:
    with urllib.request.urlopen(f"{jaeger.query_url}/api/traces?service={service}&limit=5000", timeout=20) as response:
        return {trace["traceID"] for trace in json.load(response)["data"]}


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_no_request_fails_without_jaeger_and_exports_resume_afterwards(
    own_jaeger: JaegerServer, tmp_path: Path, protocol: str
) -> None:
    env = {"BENTO_MONITOR_HOME": str(tmp_path / "monitor"), **endpoint(own_jaeger, protocol)}
    log = tmp_path / "server.log"
    spec = ServerSpec(
        target="plain:Plain", working_dir=SERVICES, as_="monitored", env=env, home=tmp_path / "bentoml", log=log
    )
    with start_server(spec) as server:
        load = LoadSpec(port=server.port, path="/sync", bodies=(b'{"x": 3}',), mode="open", rate_rps=100.0)
        with start_load(load) as running:
            wait_until(lambda: trace_ids(own_jaeger, "Plain"))
            own_jaeger.stop()
            stopped_ns = time.monotonic_ns()
            # Exporters retry until then: Jaeger has been away for long enough that spans are lost.
            wait_until(lambda: "lost spans" in log.read_text(errors="replace"), WAIT_S)
            own_jaeger.start()
            started_ns = time.monotonic_ns()
            wait_until(lambda: trace_ids(own_jaeger, "Plain"), RESUMED_WITHIN_S)
            result = running.stop()
    while_away = (result.sent_ns > stopped_ns) & (result.done_ns < started_ns)
    assert while_away.sum() > EACH
    assert (result.status == 200).all()


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_unexported_spans_are_counted_as_dropped(
    own_jaeger: JaegerServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    for name, value in endpoint(own_jaeger, protocol).items():
        monkeypatch.setenv(name, value)
    # Time for one retry: a failing export needs about a second.
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "2")
    telemetry = Telemetry("counted", MonitorSettings(home=tmp_path))
    try:
        finish_requests(telemetry)
        assert counts(telemetry.stats()) == (EACH, 0)
        assert len(trace_ids(own_jaeger, "counted")) == EACH
        own_jaeger.stop()
        finish_requests(telemetry)
        assert counts(telemetry.stats()) == (EACH, EACH)
        own_jaeger.start()
        wait_until(lambda: exports(telemetry), RESUMED_WITHIN_S)
        finish_requests(telemetry)
        exported, dropped = counts(telemetry.stats())
        assert len(trace_ids(own_jaeger, "counted")) == exported - EACH
        assert exported + dropped == telemetry.stats().submitted
    finally:
        telemetry.shutdown(1.0)


def finish_requests(telemetry: Telemetry, count: int = EACH) -> None:
    for _ in range(count):
        telemetry.finish(telemetry.start_ledger((), time.monotonic_ns(), "POST", "/counted"))
    assert telemetry.flush(WAIT_S)


def exports(telemetry: Telemetry) -> bool:
    """Return whether the span of one more request is exported."""
    before, _ = counts(telemetry.stats())
    finish_requests(telemetry, 1)
    return counts(telemetry.stats())[0] > before


def counts(stats: PipelineStats) -> tuple[int, int]:
    """Return the numbers of exported and of dropped spans; none waits."""
    (exporter,) = stats.exporters
    assert (stats.dropped, stats.waiting, exporter.queued) == (0, 0, 0)
    assert exporter.built == exporter.exported + exporter.dropped
    return exporter.exported, exporter.dropped
