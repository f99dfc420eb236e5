"""`bento-monitor traces --jaeger`: the same lists and waterfalls from a real Jaeger."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mixed_load import send_mixed_load

from bento_monitor.errors import InputError
from bento_monitor.lab.server.process import start_server
from bento_monitor.lab.server.server_spec import ServerSpec
from bento_monitor.tracing.store.jaeger_reader import JaegerReader

SERVICES = Path(__file__).parent / "services"
COMMAND = [str(Path(sys.executable).with_name("bento-monitor")), "traces"]


@pytest.fixture(scope="module")
def url(jaeger: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    home = tmp_path_factory.mktemp("jaeger-reader")
    env = {
        "BENTO_MONITOR_HOME": str(home / "monitor"),
        "OTEL_EXPORTER_OTLP_ENDPOINT": jaeger.otlp_http_endpoint,
        "OTEL_SERVICE_NAME": "read-back",
    }
    spec = ServerSpec(target="plain:Plain", working_dir=SERVICES, as_="monitored", env=env, home=home / "bentoml")
    with start_server(spec) as server:
        send_mixed_load(server)
    return str(jaeger.query_url)


def test_slowest_traces_are_listed_and_shown_as_waterfalls(url: str) -> None:
    command = [*COMMAND, "--jaeger", url, "--service", "read-back", "--limit", "5"]
    listed = json.loads(subprocess.run([*command, "--json"], capture_output=True, text=True, check=True).stdout)
    durations = [summary["duration_ns"] for summary in listed]
    assert len(durations) == 5
    assert durations == sorted(durations, reverse=True)
    table = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert all(summary["trace_id"] in table for summary in listed)
    batched = next(each for each in JaegerReader(url).slowest(1000, service="read-back") if each.route == "/batched")
    shown = subprocess.run(
        [*COMMAND, "--jaeger", url, batched.trace_id], capture_output=True, text=True, check=True
    ).stdout
    assert all(name in shown for name in ("POST /batched", "queue", "infer", "batch (linked)", "serialize"))


def test_conditions_apply_to_jaeger(url: str) -> None:
    reader = JaegerReader(url)
    every = reader.slowest(1000, service="read-back")
    middle_ns = every[len(every) // 2].duration_ns
    slower = reader.slowest(1000, service="read-back", slower_than_ns=middle_ns)
    assert {each.trace_id for each in slower} == {each.trace_id for each in every if each.duration_ns >= middle_ns}
    assert reader.slowest(1000, service="nobody") == []


def test_unreadable_traces_are_reported(url: str) -> None:
    with pytest.raises(InputError, match="not a whole trace id"):
        JaegerReader(url).trace("00aa")
    with pytest.raises(InputError, match="has no trace"):
        JaegerReader(url).trace("0" * 31 + "1")
    failed = subprocess.run([*COMMAND, "--jaeger", "http://127.0.0.1:9"], capture_output=True, text=True, check=False)
    assert failed.returncode == 2
    assert "No Jaeger answers" in failed.stderr
