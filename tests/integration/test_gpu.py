"""A live service with a model on a GPU: the GPU time is in its spans, its metrics and its profile."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import torch
from scraping import scrape, total
from waiting import wait_until

from bento_monitor import conventions as names
from bento_monitor.lab.loadgen import LoadSpec, start_load
from bento_monitor.lab.server.process import ServerProcess, start_server
from bento_monitor.lab.server.server_spec import ServerSpec
from bento_monitor.testing import OtlpReceiver, SpanRecord, find_violations

pytestmark = pytest.mark.usefixtures("gpu")

SERVICES = Path(__file__).parent / "services"
COMMAND = str(Path(sys.executable).with_name("bento-monitor"))
REQUESTS = 200


def send(server: ServerProcess, path: str, field: str, values: list[object]) -> None:
    bodies = tuple(json.dumps({field: value}).encode() for value in values)
    load = LoadSpec(
        port=server.port, path=path, bodies=bodies, mode="closed", connections=16, request_count=REQUESTS, keep_every=1
    )
    with start_load(load) as running:
        assert (running.wait().status == 200).all()


def gpu_seconds(server: ServerProcess) -> tuple[float, int]:
    """Return the total time and the number of calls from the metrics."""
    samples, series = scrape(server), "bento_monitor_model_gpu_seconds"
    return total(samples, f"{series}_sum"), round(total(samples, f"{series}_count"))


def calls_made(server: ServerProcess) -> int:
    ask = urllib.request.Request(
        f"{server.base_url}/calls_made", data=b"{}", headers={"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(ask, timeout=10) as response:
        return int(response.read())


@pytest.fixture(scope="module", params=["true", "false"], ids=["fast path", "BentoML's path"])
def seen(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[SpanRecord], tuple[float, int]]:
    home = tmp_path_factory.mktemp("gpu")
    with OtlpReceiver() as receiver:
        env = {
            "BENTO_MONITOR_HOME": str(home / "monitor"),
            "BENTO_MONITOR_FAST_PATH": request.param,
            "BENTO_MONITOR_TRACE_RATE_LIMIT": "0",
            **receiver.environment,
        }
        spec = ServerSpec(target="on_gpu:OnGpu", working_dir=SERVICES, as_="monitored", env=env, home=home / "bentoml")
        with start_server(spec) as server:
            send(server, "/alone", "x", list(np.linspace(0, 1, 16)))
            send(server, "/batched", "xs", [[x] for x in np.linspace(0, 1, 16)])
            calls = calls_made(server)
            wait_until(lambda: gpu_seconds(server)[1] >= calls)
            counted = gpu_seconds(server)
        return receiver.spans(), counted


def test_traces_keep_every_law(seen: tuple[list[SpanRecord], tuple[float, int]]) -> None:
    assert find_violations(seen[0], requests=2 * REQUESTS + 1) == []


def test_every_model_call_has_its_gpu_time(seen: tuple[list[SpanRecord], tuple[float, int]]) -> None:
    spans, _ = seen
    calls = [span for span in spans if span.name == "model"]
    took_ns = np.array([span.attributes[names.MODEL_GPU_NS] for span in calls])
    assert (took_ns > 0).all()
    # The function waits for the output, so the GPU time of a request lies within its infer, or its batch.
    around = {span.span_id: span for span in spans}
    for span, gpu_ns in zip(calls, took_ns, strict=True):
        parent = around[span.parent_span_id]
        assert gpu_ns < parent.end_ns - parent.start_ns


def test_metrics_agree_with_the_spans(seen: tuple[list[SpanRecord], tuple[float, int]]) -> None:
    spans, (total_s, count) = seen
    took_ns = [span.attributes[names.MODEL_GPU_NS] for span in spans if span.name == "model"]
    assert count == len(took_ns)
    assert total_s == pytest.approx(sum(took_ns) / 1e9, rel=1e-6)


def test_profile_includes_the_gpu(tmp_path: Path) -> None:
    page, written = tmp_path / "page.html", tmp_path / "profile.json"
    service = f"{SERVICES / 'on_gpu.py'}:OnGpu"
    options = ["--api", "batched", "--seconds", "2", "--html", str(page), "--output", str(written)]
    subprocess.run([COMMAND, "profile", service, *options], check=True, timeout=300)
    for point in json.loads(written.read_text())["points"]:
        (gpu,) = point["gpus"]
        assert gpu["name"] == torch.cuda.get_device_name()
        assert gpu["memory_bytes"] > 0
        assert gpu["energy_j"] > 0
        assert point["gpu_ms_per_request"] > 0
    assert torch.cuda.get_device_name() in page.read_text()
