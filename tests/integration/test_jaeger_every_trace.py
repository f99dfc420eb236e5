"""10,000 requests as fast as the machine allows: Jaeger has the complete trace of each."""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from jaeger_server import JaegerServer
from waiting import wait_until

from bento_monitor.lab.loadgen import LoadResult, LoadSpec, start_load
from bento_monitor.lab.server.process import ServerProcess, start_server
from bento_monitor.lab.server.server_spec import ServerSpec
from bento_monitor.testing import read_jaeger
from bento_monitor.tracing.store.trace_record import SpanRecord

SERVICES = Path(__file__).parent / "services"
SINGLE, BATCHED = 8_000, 2_000
# Requests are exported in the order in which they end, except those that end together.
LAST = 64

Traces = dict[str, list[SpanRecord]]


@pytest.fixture(scope="module")
def sent() -> dict[str, list[str]]:
    """The trace ids of the requests to each route."""
    return {
        "/asynchronous": [secrets.token_hex(16) for _ in range(SINGLE)],
        "/batched": [secrets.token_hex(16) for _ in range(BATCHED)],
    }


@pytest.fixture(scope="module")
def found(jaeger: JaegerServer, sent: dict[str, list[str]], tmp_path_factory: pytest.TempPathFactory) -> Traces:
    home = tmp_path_factory.mktemp("every-trace")
    env = {
        "BENTO_MONITOR_HOME": str(home / "monitor"),
        "BENTO_MONITOR_TRACE_RATE_LIMIT": "0",
        # On a machine that is too slow to export while it serves, all of them wait.
        "BENTO_MONITOR_TRACE_QUEUE_SIZE": str(2 * (SINGLE + BATCHED)),
        "OTEL_EXPORTER_OTLP_ENDPOINT": jaeger.otlp_http_endpoint,
        "OTEL_TRACES_SAMPLER": "always_on",
    }
    spec = ServerSpec(target="plain:Plain", working_dir=SERVICES, as_="monitored", env=env, home=home / "bentoml")
    with start_server(spec) as server:
        last = send(server, sent)
        wait_until(lambda: set(traces_of(jaeger, last)) == set(last), 60)
    return traces_of(jaeger, [trace_id for trace_ids in sent.values() for trace_id in trace_ids])


def send(server: ServerProcess, sent: dict[str, list[str]]) -> list[str]:
    """Send all requests, to both routes at once, from callers that do not sample; return the ids of the last to end."""
    single = LoadSpec(
        port=server.port,
        path="/asynchronous",
        bodies=(b'{"x": 3}',),
        mode="closed",
        request_count=SINGLE,
        traceparents=traceparents(sent["/asynchronous"]),
    )
    batched = replace(single, path="/batched", bodies=(b'{"xs": [1, 2]}',), request_count=BATCHED)
    with start_load(single) as first, start_load(replace(batched, traceparents=traceparents(sent["/batched"]))) as rest:
        results = {"/asynchronous": first.wait(), "/batched": rest.wait()}
    for result in results.values():
        assert (result.status == 200).all()
    return [trace_id for path, result in results.items() for trace_id in ended_last(sent[path], result)]


def traceparents(trace_ids: list[str]) -> tuple[str, ...]:
    return tuple(f"00-{trace_id}-{secrets.token_hex(8)}-00" for trace_id in trace_ids)


def ended_last(trace_ids: list[str], result: LoadResult) -> list[str]:
    return [trace_ids[row] for row in result.done_ns.argsort()[-LAST:]]


def traces_of(jaeger: JaegerServer, trace_ids: list[str]) -> Traces:
    """Read each trace from Jaeger: a search would return at most its limit."""
    traces: Traces = {}
    for span in read_jaeger(jaeger.query_url, trace_ids):
        traces.setdefault(span.trace_id, []).append(span)
    return traces


def test_no_trace_is_lost(sent: dict[str, list[str]], found: Traces) -> None:
    assert len(found) == SINGLE + BATCHED
    assert set(found) == {trace_id for trace_ids in sent.values() for trace_id in trace_ids}


def test_every_trace_is_complete(sent: dict[str, list[str]], found: Traces) -> None:
    stages = {"/asynchronous": ["infer", "parse", "serialize"], "/batched": ["infer", "parse", "queue", "serialize"]}
    for path, trace_ids in sent.items():
        shapes = Counter(tuple(sorted(span.name for span in found[trace_id])) for trace_id in trace_ids)
        assert shapes == {(f"POST {path}", *stages[path]): len(trace_ids)}


def test_every_batch_exists_and_links_all_its_requests(
    jaeger: JaegerServer, sent: dict[str, list[str]], found: Traces
) -> None:
    links = Counter(link for trace_id in sent["/batched"] for span in found[trace_id] for link in span.links)
    assert links.total() == BATCHED
    batches = traces_of(jaeger, list({link.trace_id for link in links}))
    for link, requests in links.items():
        (batch,) = batches[link.trace_id]
        assert (batch.name, batch.span_id, len(batch.links)) == ("batch", link.span_id, requests)
