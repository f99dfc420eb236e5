"""Every request of a batched load has its own trace, in the embedded store and in a real Jaeger."""

from __future__ import annotations

import json
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from waiting import requests_in_progress, wait_until

from bento_monitor.lab.loadgen import LoadResult, LoadSpec, start_load
from bento_monitor.lab.server.process import ServerProcess, start_server
from bento_monitor.lab.server.server_spec import ServerSpec
from bento_monitor.tracing.store.database import store_path
from bento_monitor.tracing.store.reader import StoreReader
from bento_monitor.tracing.store.trace_record import SpanLink, Trace

SERVICES = Path(__file__).parent / "services"
REQUESTS = 200


@pytest.fixture(scope="module")
def trace_ids() -> list[str]:
    return [secrets.token_hex(16) for _ in range(REQUESTS)]


@contextmanager
def served(home: Path, **environment: str) -> Iterator[ServerProcess]:
    (home / "gate").mkdir()
    spec = ServerSpec(
        target="batched:Batched",
        working_dir=SERVICES,
        env={"BENTO_MONITOR_HOME": str(home / "monitor"), "BATCHED_GATE": str(home / "gate"), **environment},
        home=home / "bentoml",
    )
    with start_server(spec) as server:
        yield server


def send(server: ServerProcess, gate: Path, trace_ids: list[str]) -> LoadResult:
    """Send one request that holds the function, then 200 at once, each the child of a caller's span in its own trace.

    The function continues when the server counts all of them as in progress.
    """
    load = LoadSpec(
        port=server.port,
        path="/score",
        bodies=tuple(json.dumps({"rows": [float(row)]}).encode() for row in range(REQUESTS)),
        mode="closed",
        connections=REQUESTS,
        request_count=REQUESTS,
        traceparents=tuple(f"00-{trace_id}-{secrets.token_hex(8)}-01" for trace_id in trace_ids),
        keep_every=1,
    )
    with start_load(replace(load, connections=1, request_count=1, traceparents=())) as first:
        wait_until((gate / "entered").exists)
        with start_load(load) as burst:
            wait_until(lambda: requests_in_progress(server, "/score") == REQUESTS + 1)
            (gate / "open").touch()
            result = burst.wait()
        assert (first.wait().status == 200).all()
    assert (result.status == 200).all()
    return result


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory, trace_ids: list[str]) -> dict[str, Trace]:
    home = tmp_path_factory.mktemp("stored")
    with served(home) as server:
        send(server, home / "gate", trace_ids)
    reader = StoreReader(store_path(home / "monitor"))
    return {trace_id: reader.trace(trace_id) for trace_id in trace_ids}


def test_each_trace_has_its_own_queue_and_infer_once(stored: dict[str, Trace]) -> None:
    for trace_id, trace in stored.items():
        assert all(span.trace_id == trace_id for span in trace.spans)
        names = sorted(span.name for span in trace.spans)
        assert names == ["POST /score", "infer", "parse", "queue", "serialize"]


def test_requests_are_batched_and_every_batch_is_linked_both_ways(stored: dict[str, Trace]) -> None:
    batches: dict[str, Any] = {}
    members: dict[str, set[SpanLink]] = {}
    for trace in stored.values():
        (infer,) = [span for span in trace.spans if span.name == "infer"]
        (link,) = infer.links
        (batch,) = [span for span in trace.linked if span.name == "batch"]
        assert (link.trace_id, link.span_id) == (batch.trace_id, batch.span_id)
        batches[batch.span_id] = batch
        members.setdefault(batch.span_id, set()).add(SpanLink(infer.trace_id, infer.span_id))
    assert len(batches) < REQUESTS / 2
    for span_id, batch in batches.items():
        assert set(batch.links) == members[span_id]
        assert batch.attributes["bento_monitor.batch.size"] == len(members[span_id])


def test_batch_of_more_than_128_loses_no_link(stored: dict[str, Trace]) -> None:
    sizes = [len(span.links) for trace in stored.values() for span in trace.linked if span.name == "batch"]
    assert max(sizes) > 128


def test_stages_lie_within_the_request_and_follow_each_other(stored: dict[str, Trace]) -> None:
    for trace in stored.values():
        by_name = {span.name: span for span in trace.spans}
        server = by_name["POST /score"]
        stages = [by_name[name] for name in ("parse", "queue", "infer", "serialize")]
        assert server.start_ns <= stages[0].start_ns
        assert stages[-1].end_ns <= server.end_ns
        for earlier, later in pairwise(stages):
            assert earlier.end_ns <= later.start_ns


def test_jaeger_returns_each_requests_own_trace(jaeger: Any, tmp_path: Path, trace_ids: list[str]) -> None:
    with served(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=jaeger.otlp_http_endpoint) as server:
        send(server, tmp_path / "gate", trace_ids)
    assert not store_path(tmp_path / "monitor").exists()
    for trace_id in trace_ids:
        spans = wait_for_trace(jaeger.query_url, trace_id)
        assert sorted(span["operationName"] for span in spans) == [
            "POST /score",
            "infer",
            "parse",
            "queue",
            "serialize",
        ]
        assert {span["traceID"] for span in spans} == {trace_id}
        (infer,) = [span for span in spans if span["operationName"] == "infer"]
        (link,) = [ref for ref in infer["references"] if ref["traceID"] != trace_id]
        batch = wait_for_trace(jaeger.query_url, link["traceID"])
        assert {"batch", "model"} == {span["operationName"] for span in batch}
        (root,) = [span for span in batch if span["operationName"] == "batch"]
        assert (trace_id, infer["spanID"]) in {(ref["traceID"], ref["spanID"]) for ref in root["references"]}


def wait_for_trace(query_url: str, trace_id: str) -> list[dict[str, Any]]:
    deadline_s = time.monotonic() + 20
    while time.monotonic() < deadline_s:
        try:
            with urllib.request.urlopen(f"{query_url}/api/traces/{trace_id}", timeout=10) as response:
                spans: list[dict[str, Any]] = json.load(response)["data"][0]["spans"]
                return spans
        except urllib.error.HTTPError:  # not there yet
            time.sleep(0.1)
    raise AssertionError(f"Jaeger has no trace {trace_id}")
