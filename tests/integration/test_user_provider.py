"""A service with a tracer provider of its author: one complete trace, only through that provider."""

from __future__ import annotations

import json
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

from bento_monitor.lab.server.process import ServerProcess, start_server
from bento_monitor.lab.server.server_spec import ServerSpec
from bento_monitor.testing import OtlpReceiver, SpanRecord, find_violations
from bento_monitor.tracing.store.database import store_path

SERVICES = Path(__file__).parent / "services"
EACH = 5


def ask(server: ServerProcess, api: str, body: object) -> None:
    request = urllib.request.Request(
        f"{server.base_url}/{api}", data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.status == 200


@pytest.fixture(scope="module")
def spans(tmp_path_factory: pytest.TempPathFactory) -> list[SpanRecord]:
    home = tmp_path_factory.mktemp("with-provider")
    with OtlpReceiver() as receiver:
        env = {"BENTO_MONITOR_HOME": str(home / "monitor"), **receiver.environment}
        spec = ServerSpec(target="with_provider:WithProvider", working_dir=SERVICES, env=env, home=home / "bentoml")
        with start_server(spec) as server:
            for _ in range(EACH):
                ask(server, "embed", {})
                ask(server, "quiet", {})
                ask(server, "batched", {"xs": [1]})
        assert not store_path(home / "monitor").exists()
        return receiver.spans()


def test_each_request_is_one_complete_trace_of_the_authors_resource(spans: list[SpanRecord]) -> None:
    assert find_violations(spans, requests=2 * EACH) == []
    assert {span.service for span in spans} == {"of the author"}


def test_spans_of_the_author_are_children_of_ours(spans: list[SpanRecord]) -> None:
    by_id = {(span.trace_id, span.span_id): span for span in spans}
    parents = Counter(
        (span.name, by_id[span.trace_id, span.parent_span_id or ""].name)
        for span in spans
        if span.scope == "of the author"
    )
    assert parents == {("tokenise", "POST /embed"): EACH, ("pad", "batch"): EACH}


def test_sampler_of_the_author_decides(spans: list[SpanRecord]) -> None:
    assert not [span for span in spans if span.name in ("POST /quiet", "whisper")]
