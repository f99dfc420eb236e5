"""Spans of a service without a tracer provider of its author: part of the request's trace, and kept with it."""

from __future__ import annotations

import json
import secrets
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bento_monitor import conventions as names
from bento_monitor.lab.server.process import ServerProcess, start_server
from bento_monitor.lab.server.server_spec import ServerSpec
from bento_monitor.testing import OtlpReceiver, SpanRecord, find_violations
from bento_monitor.tracing.store.database import store_path
from bento_monitor.tracing.store.reader import StoreReader
from bento_monitor.tracing.user_spans import MAX_HELD

SERVICES = Path(__file__).parent / "services"
SECRET = "a secret of the client"


def ask(server: ServerProcess, api: str, body: object, *, is_sampled: bool) -> str:
    trace_id = secrets.token_hex(16)
    flags = "01" if is_sampled else "00"
    headers = {"Content-Type": "application/json", "traceparent": f"00-{trace_id}-{'1' * 16}-{flags}"}
    request = urllib.request.Request(f"{server.base_url}/{api}", json.dumps(body).encode(), headers)
    with suppress(urllib.error.HTTPError), urllib.request.urlopen(request, timeout=20) as answer:
        answer.read()
    return trace_id


@pytest.fixture(scope="module", params=["true", "false"], ids=["fast path", "BentoML's path"])
def traces(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[dict[str, str], list[SpanRecord], bytes]]:
    with OtlpReceiver() as receiver:
        env = receiver.environment | {
            "BENTO_MONITOR_FAST_PATH": request.param,
            "BENTO_MONITOR_TRACE_TAIL_SAMPLING": "failed",
        }
        home = tmp_path_factory.mktemp("own-spans")
        spec = ServerSpec(target="own_spans:OwnSpans", working_dir=SERVICES, as_="monitored", env=env, home=home)
        with start_server(spec) as server:
            ids = {
                "sync": ask(server, "sync", {}, is_sampled=True),
                "stream": ask(server, "stream", {"x": 3}, is_sampled=True),
                "batched": ask(server, "batched", {"xs": [1]}, is_sampled=True),
                "not sampled": ask(server, "sync", {}, is_sampled=False),
                "failed": ask(server, "fails", {"secret": SECRET}, is_sampled=False),
                "failed batch": ask(server, "batched", {"xs": [-1]}, is_sampled=False),
                "batch not sampled": ask(server, "batched", {"xs": [1]}, is_sampled=False),
                "many": ask(server, "many", {"x": 3 * MAX_HELD}, is_sampled=False),
            }
        yield ids, receiver.spans(), b"".join(export.body for export in receiver.exports)


def of(traces: tuple[dict[str, str], list[SpanRecord], bytes], name: str) -> list[SpanRecord]:
    ids, spans, _ = traces
    return [span for span in spans if span.trace_id == ids[name]]


def pads_of(traces: tuple[dict[str, str], list[SpanRecord], bytes], name: str) -> int:
    """Count the spans "pad" that are children of a request's batch span."""
    ids, spans, _ = traces
    batches = [span for span in spans if span.name == "batch" and ids[name] in {link.trace_id for link in span.links}]
    return sum(
        span.name == "pad" and (span.trace_id, span.parent_span_id) == (batch.trace_id, batch.span_id)
        for batch in batches
        for span in spans
    )


def test_user_spans_are_in_their_requests_trace_under_its_server_span(traces) -> None:
    assert find_violations(traces[1], requests=6) == []
    by_name = {span.name: span for span in of(traces, "sync")}
    assert by_name["outer"].parent_span_id == by_name["POST /sync"].span_id
    assert by_name["inner"].parent_span_id == by_name["outer"].span_id
    assert by_name["outer"].scope == "of the author"
    assert by_name["outer"].attributes == {"kind": "sync", "sizes": "[1, 2]"}
    assert Counter(span.name for span in of(traces, "stream"))["piece"] == 3
    assert pads_of(traces, "batched") == 1


def test_user_spans_of_an_unsampled_request_are_kept_or_dropped_with_it(traces) -> None:
    assert of(traces, "not sampled") == []
    by_name = {span.name: span for span in of(traces, "failed")}
    assert by_name["POST /fails"].attributes[names.SAMPLING_REASON] == "failed"
    assert by_name["outer"].parent_span_id == by_name["POST /fails"].span_id
    assert by_name["outer"].is_error
    assert (pads_of(traces, "failed batch"), pads_of(traces, "batch not sampled")) == (1, 0)


def test_held_user_spans_of_one_request_are_bounded(traces) -> None:
    assert Counter(span.name for span in of(traces, "many"))["one of many"] == MAX_HELD


def test_exception_messages_are_not_exported(traces) -> None:
    assert SECRET.encode() not in traces[2]


def test_embedded_store_keeps_the_scope_of_user_spans(tmp_path: Path) -> None:
    env = {"BENTO_MONITOR_HOME": str(tmp_path / "monitor")}
    spec = ServerSpec(target="own_spans:OwnSpans", working_dir=SERVICES, as_="monitored", env=env, home=tmp_path / "b")
    with start_server(spec) as server:
        trace_id = ask(server, "sync", {}, is_sampled=True)
    found = StoreReader(store_path(tmp_path / "monitor")).trace(trace_id)
    scopes = {span.name: span.scope for span in found.spans}
    assert (scopes["outer"], scopes["POST /sync"]) == ("of the author", names.SCOPE_NAME)
    assert find_violations(found.spans) == []


def test_setting_turns_user_spans_off(tmp_path: Path) -> None:
    with OtlpReceiver() as receiver:
        env = receiver.environment | {"BENTO_MONITOR_USER_SPANS": "false"}
        spec = ServerSpec(target="own_spans:OwnSpans", working_dir=SERVICES, as_="monitored", env=env, home=tmp_path)
        with start_server(spec) as server:
            ask(server, "sync", {}, is_sampled=True)
        assert {span.scope for span in receiver.spans()} == {names.SCOPE_NAME}
