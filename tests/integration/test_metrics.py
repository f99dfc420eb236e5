"""Metrics of every request of a real server, on `/metrics` and over OTLP."""

from __future__ import annotations

import socket
from pathlib import Path

import psutil
import pytest
from mixed_load import CASES, EACH, REQUESTS, send_mixed_load
from scraping import scrape, total

from bento_monitor import conventions as names
from bento_monitor.lab.server.process import ServerProcess, start_server
from bento_monitor.lab.server.server_spec import ServerSpec
from bento_monitor.testing import OtlpReceiver

SERVICES = Path(__file__).parent / "services"
TOGETHER = 100
_REQUEST, _STAGE = "bento_monitor_request_duration_seconds", "bento_monitor_stage_duration_seconds"
_ROUTES = ("/sync", "/batched", "/asynchronous")


@pytest.mark.parametrize("fast_path", ["true", "false"])
def test_every_request_is_counted_by_route_stage_and_status(tmp_path: Path, fast_path: str) -> None:
    # Nothing is sampled: untraced requests count, too.
    env = {"OTEL_TRACES_SAMPLER": "always_off", "BENTO_MONITOR_FAST_PATH": fast_path}
    spec = ServerSpec(target="plain:Plain", working_dir=SERVICES, as_="monitored", env=env, home=tmp_path)
    with start_server(spec) as server:
        before = scrape(server)
        send_mixed_load(server)
        after = scrape(server)
        # If another process gets the CPU between two stages, that time belongs to the request but to no stage.
        assert any(_stages_are_most_of_a_request(server) for _ in range(10))

    def added(name: str, **labels: str) -> float:
        return total(after, name, **labels) - total(before, name, **labels)

    request, stage = _REQUEST, _STAGE
    assert added(f"{request}_count") == REQUESTS
    for path, _, status in CASES:
        route = names.ROUTE_UNMATCHED if path == "/nowhere" else path
        assert added(f"{request}_count", route=route, status=str(status)) == EACH
    # A stage counts if it was reached: `fails` was never serialised.
    for route, reached in {"/sync": EACH, "/asynchronous": EACH, "/batched": EACH, "/fails": 0}.items():
        assert added(f"{stage}_count", route=route, stage="serialize") == reached
    assert added(f"{stage}_count", route="/batched", stage="assemble") == EACH
    for route in _ROUTES:
        assert added(f"{stage}_sum", route=route) <= added(f"{request}_sum", route=route) * 1.0001
    assert added("bento_monitor_batch_size_sum", api="batched") == EACH
    assert added("bento_monitor_loop_lag_seconds_count") == REQUESTS
    assert total(after, "bento_monitor_requests_in_flight") == 0
    assert total(after, "bento_monitor_spans_total", state="built") == 0
    assert total(after, "bento_monitor_thread_cpu_seconds_total", thread="metrics") > 0
    for name in (request, stage):
        counts = [value for has, value in after[f"{name}_bucket"] if has["le"] == "+Inf"]
        assert sum(counts) == total(after, f"{name}_count")


def _stages_are_most_of_a_request(server: ServerProcess) -> bool:
    """Return whether, in one load, stages cover half of the time of each route's requests with status 200."""
    before = scrape(server)
    send_mixed_load(server)
    after = scrape(server)

    def added(name: str, **labels: str) -> float:
        return total(after, f"{name}_sum", **labels) - total(before, f"{name}_sum", **labels)

    return all(
        0.5 * added(_REQUEST, route=route, status="200")
        < added(_STAGE, route=route) - added(_REQUEST, route=route, status="400")
        for route in _ROUTES
    )


def test_otlp_gets_exponential_histograms_with_traced_requests_as_exemplars(tmp_path: Path) -> None:
    with OtlpReceiver() as receiver:
        env = receiver.environment | {"OTEL_METRICS_EXPORTER": "otlp", "OTEL_METRIC_EXPORT_INTERVAL": "500"}
        spec = ServerSpec(target="plain:Plain", working_dir=SERVICES, as_="monitored", env=env, home=tmp_path)
        with start_server(spec) as server:
            trace_ids = set(send_mixed_load(server))
    last = {metric.name: metric for metric in receiver.metrics()}
    points = last[names.METRIC_REQUEST_DURATION].exponential_histogram.data_points
    labels = [{pair.key: pair.value.string_value for pair in point.attributes} for point in points]
    count = {(of["http.route"], of["http.response.status_code"]): p.count for of, p in zip(labels, points, strict=True)}
    assert count["/sync", "200"] == count["/sync", "405"] == EACH
    assert sum(count.values()) == REQUESTS
    assert all(sum(point.positive.bucket_counts) + point.zero_count == point.count for point in points)
    exemplars = [
        exemplar
        for metric in receiver.metrics()
        if metric.name == names.METRIC_REQUEST_DURATION
        for point in metric.exponential_histogram.data_points
        for exemplar in point.exemplars
    ]
    assert {exemplar.trace_id.hex() for exemplar in exemplars} <= trace_ids
    assert len(exemplars) >= len(count)
    servers = {span.span_id for span in receiver.spans() if span.kind == "SERVER"}
    assert {exemplar.span_id.hex() for exemplar in exemplars} <= servers
    assert {point.as_int for point in last[names.METRIC_IN_FLIGHT].gauge.data_points} <= {0, 1}


def test_requests_to_many_unknown_paths_grow_neither_series_nor_memory(tmp_path: Path) -> None:
    env = {"OTEL_TRACES_SAMPLER": "always_off"}
    spec = ServerSpec(target="plain:Plain", working_dir=SERVICES, as_="monitored", env=env, home=tmp_path)
    with start_server(spec) as server:
        (worker,) = (psutil.Process(pid) for pid in server.worker_pids())
        scan(server, 2_000)
        series, rss_bytes = count_series(server), worker.memory_info().rss
        scan(server, 20_000)
        assert count_series(server) == series
        assert worker.memory_info().rss - rss_bytes < 16 * 2**20


def scan(server: ServerProcess, count: int) -> None:
    """Send requests to paths that do not exist, many at a time on one connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        for start in range(0, count, TOGETHER):
            heads = [f"GET /{count}/{n} HTTP/1.1\r\nHost: x\r\n\r\n" for n in range(start, start + TOGETHER)]
            connection.sendall("".join(heads).encode())
            answers = b""
            while answers.count(b"HTTP/1.1 404") < TOGETHER:
                received = connection.recv(2**20)
                assert received
                answers += received


def count_series(server: ServerProcess) -> int:
    return sum(len(samples) for name, samples in scrape(server).items() if name.startswith("bento_monitor_"))
