"""The Jaeger of the integration tests: it accepts a span, and does not interfere with a user's own Jaeger."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import psutil
import pytest

JAEGER_FOLDER = Path(__file__).parent / "jaeger"


def read_json(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=5) as response:
        return json.load(response)


def test_span_sent_over_otlp_is_read_back_from_the_query_api(jaeger: Any) -> None:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    provider = TracerProvider(resource=Resource({"service.name": "fixture-check"}), shutdown_on_exit=False)
    provider.add_span_processor(
        SimpleSpanProcessor(OTLPSpanExporter(endpoint=f"{jaeger.otlp_http_endpoint}/v1/traces"))
    )
    with provider.get_tracer("test").start_as_current_span("hello") as span:
        trace_id = format(span.get_span_context().trace_id, "032x")
    provider.shutdown()

    found: list[Any] = []
    deadline = time.monotonic() + 10
    while not found and time.monotonic() < deadline:
        found = read_json(f"{jaeger.query_url}/api/traces?service=fixture-check")["data"] or []
    assert [trace["traceID"] for trace in found] == [trace_id]
    assert [span["operationName"] for span in found[0]["spans"]] == ["hello"]


def test_jaeger_listens_on_four_loopback_ports_and_no_default_port(jaeger: Any) -> None:
    listening = {
        connection.laddr
        for connection in psutil.Process(jaeger.pid).net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert len(listening) == 4
    assert {address.ip for address in listening} == {"127.0.0.1"}
    assert not {address.port for address in listening} & {4317, 4318, 16685, 16686}


@pytest.mark.parametrize("script", ["build.sh", "run.sh"])
def test_scripts_are_valid_shell(script: str) -> None:
    subprocess.run(["sh", "-n", JAEGER_FOLDER / script], check=True)


def test_find_builds_nothing_and_reports_it_by_exit_status(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    if shutil.which("jaeger", path=environment["PATH"]):
        pytest.skip("a jaeger of the system is on the PATH")
    found = subprocess.run([JAEGER_FOLDER / "build.sh", "--find"], env=environment, capture_output=True, check=False)
    assert (found.returncode, found.stdout) == (1, b"")
    assert not list(tmp_path.iterdir())


def test_missing_requirement_skips_or_fails_if_all_are_required(
    require_means: Callable[[str], NoReturn], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUIRE", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no such thing"):
        require_means("no such thing")
    monkeypatch.setenv("REQUIRE", "all")
    with pytest.raises(pytest.fail.Exception, match="only a GPU may be missing"):
        require_means("no such thing")
