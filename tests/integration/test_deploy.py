"""deploy/ with real programs on loopback: spans through the Collector to Jaeger, and its Monitor page from Prometheus.

The Jaeger binary runs as the Collector: it is a Collector with the same components.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest
import yaml
from jaeger_server import accepts, answers, start_process, stop_process
from mixed_load import CASES, EACH, send_mixed_load
from waiting import wait_until

from bento_monitor.lab.server.process import start_server
from bento_monitor.lab.server.server_spec import ServerSpec
from bento_monitor.serving.ports import free_port

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
SERVICES = Path(__file__).parent / "services"
SERVICE = "deployed"
CALLS = re.compile(r"^traces_span_metrics_calls_total\{(?P<labels>[^}]*)\} (?P<value>\S+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')
LOADS = 2
START_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Deployed:
    """The addresses of the programs of deploy/."""

    jaeger_url: str
    otlp_endpoint: str
    span_metrics_url: str
    prometheus_url: str
    log: Path


@pytest.fixture(scope="module")
def deployed(jaeger_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    folder = tmp_path_factory.mktemp("deployed")
    # A free port may be taken before it is bound, and a Collector without its port exits: then other ports are tried.
    for attempt in range(START_ATTEMPTS):
        with ExitStack() as stack:
            log = folder / f"{attempt}.log"
            if (found := _start(jaeger_binary, log, stack)) is not None:
                yield found
                return
    pytest.fail(f"Jaeger and the Collector did not start:\n{log.read_text(errors='replace')[-4000:]}")


def _start(jaeger_binary: Path, log: Path, stack: ExitStack) -> Deployed | None:
    """Start Jaeger and the Collector on their own ports; return None if one of them exited, or was too slow."""
    ports = [free_port() for _ in range(7)]
    query, query_grpc, jaeger_otlp, otlp, otlp_http, spans, prometheus = (f"127.0.0.1:{port}" for port in ports)
    found = Deployed(f"http://{query}", f"http://{otlp_http}", f"http://{spans}/metrics", f"http://{prometheus}", log)
    moved = {
        "jaeger.yaml": {
            "extensions.jaeger_query.http.endpoint": query,
            "extensions.jaeger_query.grpc.endpoint": query_grpc,
            "extensions.jaeger_storage.metric_backends.span_metrics.prometheus.endpoint": found.prometheus_url,
            "receivers.otlp.protocols.grpc.endpoint": jaeger_otlp,
        },
        "collector.yaml": {
            "receivers.otlp.protocols.grpc.endpoint": otlp,
            "receivers.otlp.protocols.http.endpoint": otlp_http,
            "exporters.otlp/jaeger.endpoint": jaeger_otlp,
            "exporters.prometheus.endpoint": spans,
            "connectors.spanmetrics.metrics_flush_interval": "200ms",
        },
    }
    processes = []
    for config, settings in moved.items():
        command = [str(jaeger_binary), "--config", str(DEPLOY / config), "--set=service.telemetry.metrics.level=none"]
        command += [f"--set={name}={value}" for name, value in settings.items()]
        processes.append(start_process(command, log, {}))
        stack.callback(stop_process, processes[-1])
    deadline_s = time.monotonic() + 60
    while time.monotonic() < deadline_s and all(process.poll() is None for process in processes):
        # All but Prometheus, which a test starts.
        if all(map(accepts, ports[:-1])) and answers(f"{found.jaeger_url}/api/services"):
            return found
        time.sleep(0.05)
    return None


@pytest.fixture(scope="module")
def served(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], list[str]]]:
    """A function that sends a mixed load to two workers, which export to the Collector, and returns the trace ids."""
    home = tmp_path_factory.mktemp("served")
    env = {
        "BENTO_MONITOR_HOME": str(home / "monitor"),
        "OTEL_EXPORTER_OTLP_ENDPOINT": deployed.otlp_endpoint,
        "OTEL_SERVICE_NAME": SERVICE,
    }
    spec = ServerSpec(
        target="plain:Plain",
        working_dir=SERVICES,
        as_="monitored",
        env=env,
        home=home / "bentoml",
        workers=2,
        service_name="Plain",
    )
    with start_server(spec) as server:
        yield lambda: send_mixed_load(server)


@pytest.mark.parametrize("config", ["jaeger.yaml", "collector.yaml"])
def test_real_program_accepts_its_config(jaeger_binary: Path, config: str) -> None:
    done = subprocess.run(
        [jaeger_binary, "validate", "--config", DEPLOY / config], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_spans_arrive_through_the_collector_and_are_counted_once(
    deployed: Deployed, served: Callable[[], list[str]]
) -> None:
    trace_ids = {trace_id for _ in range(LOADS) for trace_id in served()}
    wait_until(lambda: trace_ids <= jaeger_trace_ids(deployed), 60, log=deployed.log)
    expected = {
        ("POST /fails", "STATUS_CODE_ERROR"): LOADS * EACH,
        ("POST /sync", "STATUS_CODE_UNSET"): LOADS * EACH * 2,
        ("POST /batched", "STATUS_CODE_UNSET"): LOADS * EACH,
    }
    wait_until(lambda: expected.items() <= server_calls(deployed).items(), 60, log=deployed.log)
    assert sum(server_calls(deployed).values()) == LOADS * EACH * len(CASES)


def test_monitor_page_of_jaeger_has_rates_errors_and_durations(
    deployed: Deployed,
    served: Callable[[], list[str]],
    require_means: Callable[[str], NoReturn],
    tmp_path: Path,
) -> None:
    if shutil.which("prometheus") is None:
        require_means("Prometheus is not installed: apt-get install prometheus")
    config = yaml.safe_load((DEPLOY / "prometheus.yaml").read_text())
    (job,) = [job for job in config["scrape_configs"] if job["job_name"] == "spans"]
    job["static_configs"] = [{"targets": [urllib.parse.urlsplit(deployed.span_metrics_url).netloc]}]
    config |= {"global": {"scrape_interval": "1s"}, "scrape_configs": [job]}
    (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(config))
    command = [
        "prometheus",
        f"--config.file={tmp_path / 'prometheus.yaml'}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address={urllib.parse.urlsplit(deployed.prometheus_url).netloc}",
    ]
    process = start_process(command, tmp_path / "prometheus.log", {})
    try:
        wait_until(lambda: answers(f"{deployed.prometheus_url}/-/ready"), 60, log=deployed.log)
        served()
        wait_until(lambda: monitored(deployed, "calls"), 60, log=deployed.log)
        # A rate is the growth between two scrapes.
        served()
        wait_until(lambda: monitored(deployed, "errors").get("POST /fails", 0) > 0, 60, log=deployed.log)
        wait_until(
            lambda: monitored(deployed, "latencies", quantile=0.95).get("POST /batched", 0) > 0, 60, log=deployed.log
        )
        calls, errors = monitored(deployed, "calls"), monitored(deployed, "errors")
        assert calls.keys() >= {"POST /sync", "POST /asynchronous", "POST /stream", "POST /batched", "POST /fails"}
        assert "infer" not in calls
        assert {name for name, ratio in errors.items() if ratio > 0} == {"POST /fails"}
    finally:
        stop_process(process)


def test_prometheus_accepts_its_config(require_means: Callable[[str], NoReturn]) -> None:
    if shutil.which("promtool") is None:
        require_means("promtool is not installed: apt-get install prometheus")
    done = subprocess.run(
        ["promtool", "check", "config", DEPLOY / "prometheus.yaml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def jaeger_trace_ids(deployed: Deployed) -> set[str]:
    answer = read_json(f"{deployed.jaeger_url}/api/traces?service={SERVICE}&limit=10000")
    return {trace["traceID"] for trace in answer["data"] or ()}


def server_calls(deployed: Deployed) -> dict[tuple[str, str], int]:
    """Return the Collector's counts of server spans, by name and status: one series each."""
    with urllib.request.urlopen(deployed.span_metrics_url, timeout=20) as response:
        series = CALLS.findall(response.read().decode())
    calls: dict[tuple[str, str], int] = {}
    for text, value in series:
        labels = dict(LABEL.findall(text))
        if labels["span_kind"] == "SPAN_KIND_SERVER":
            assert labels["service_name"] == SERVICE
            key = labels["span_name"], labels["status_code"]
            assert key not in calls
            calls[key] = int(value)
    return calls


def monitored(deployed: Deployed, metric: str, **query: object) -> dict[str, float]:
    """Return the latest value of each operation, as the Monitor page gets it."""
    query = {
        "service": SERVICE,
        "groupByOperation": "true",
        "spanKind": "server",
        "endTs": time.time_ns() // 10**6,
        "lookback": 60_000,
        "ratePer": 60_000,
        "step": 1_000,
        **query,
    }
    answer = read_json(f"{deployed.jaeger_url}/api/metrics/{metric}?{urllib.parse.urlencode(query)}")
    values: dict[str, float] = {}
    for series in answer["metrics"]:
        labels = {label["name"]: label["value"] for label in series["labels"]}
        points = [float(point["gaugeValue"]["doubleValue"]) for point in series["metricPoints"]]
        values[labels["operation"]] = points[-1]
    return values


def read_json(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=20) as response:
        return json.load(response)
