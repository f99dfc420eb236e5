"""A service's call to itself is a separate request: the caller's stages stay correct."""

from __future__ import annotations

import json
import secrets
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from scraping import Samples, scrape, total

from bento_monitor import conventions as names
from bento_monitor.lab.server.process import ServerProcess, start_servers
from bento_monitor.lab.server.server_spec import ServerSpec
from bento_monitor.testing import OtlpReceiver, SpanRecord, find_violations

PROJECT = Path(__file__).parent / "context"
SLEEP_NS = 100_000_000


@dataclass
class Seen:
    """The spans, metrics and outputs of one request to each API that calls another."""

    answers: dict[str, int]
    ids: dict[str, str]
    samples: dict[str, Samples]
    spans: list[SpanRecord]

    def of(self, api: str) -> dict[str, list[SpanRecord]]:
        found: dict[str, list[SpanRecord]] = {}
        for span in self.spans:
            if span.trace_id == self.ids[api]:
                found.setdefault(span.name, []).append(span)
        return found


def ask(server: ServerProcess, api: str) -> tuple[str, int]:
    trace_id = secrets.token_hex(16)
    headers = {"content-type": "application/json", "traceparent": f"00-{trace_id}-{'1' * 16}-01"}
    request = urllib.request.Request(f"{server.base_url}/{api}", json.dumps({"x": 1}).encode(), headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return trace_id, int(answer.read())


@pytest.fixture(scope="module", params=["true", "false"], ids=["fast path", "BentoML's path"])
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    home = tmp_path_factory.mktemp("itself")
    with OtlpReceiver() as receiver:
        env = receiver.environment | {"BENTO_MONITOR_FAST_PATH": request.param}
        arms = {
            "stock": {"as_": "stock"},
            "ours": {"as_": "monitored", "env": env},
            "untraced": {"as_": "monitored", "env": env | {"BENTO_MONITOR_TRACING": "false"}},
        }
        specs = [
            ServerSpec(target="calls_itself:Itself", working_dir=PROJECT, home=home / name, **options)
            for name, options in arms.items()
        ]
        with start_servers(specs) as servers:
            by_name = dict(zip(arms, servers, strict=True))
            ids, answers, samples = {}, {}, {}
            for api in ("on_loop", "in_thread"):
                ids[api], answers[api] = ask(by_name["ours"], api)
                for name in ("stock", "untraced"):
                    assert ask(by_name[name], api)[1] == answers[api]
            samples = {name: scrape(server) for name, server in by_name.items()}
        yield Seen(answers, ids, samples, receiver.spans())


def test_responses_equal_stocks(seen: Seen) -> None:
    assert seen.answers == {"on_loop": 4, "in_thread": 2}


@pytest.mark.parametrize(("api", "calls"), [("on_loop", ["slow", "batched"]), ("in_thread", ["slow"])])
def test_called_request_is_below_a_client_span_of_the_caller(seen: Seen, api: str, calls: list[str]) -> None:
    found = seen.of(api)
    (outer,) = found[f"POST /{api}"]
    for called in calls:
        (client,) = found[f"Itself/{called}"]
        (server,) = found[f"POST /{called}"]
        assert (server.kind, server.parent_span_id) == ("SERVER", client.span_id)
        assert client.kind == "CLIENT"
        assert outer.start_ns <= client.start_ns <= server.start_ns


@pytest.mark.parametrize(("api", "sleeps"), [("on_loop", 3), ("in_thread", 2)])
def test_stages_of_the_caller_are_its_own(seen: Seen, api: str, sleeps: int) -> None:
    (outer,) = seen.of(api)[f"POST /{api}"]
    assert outer.attributes[names.STAGE_INFER] > (sleeps - 0.1) * SLEEP_NS
    assert outer.attributes.get(names.STAGE_QUEUE, 0) < SLEEP_NS
    assert names.STAGE_SPLIT not in outer.attributes or outer.attributes[names.STAGE_SPLIT] < SLEEP_NS
    (called,) = seen.of(api)["POST /slow"]
    assert 0.9 * SLEEP_NS < called.attributes[names.STAGE_INFER] < outer.attributes[names.STAGE_INFER] - 0.9 * SLEEP_NS


def test_every_trace_keeps_the_laws(seen: Seen) -> None:
    assert find_violations(seen.spans) == []


@pytest.mark.parametrize("endpoint", ["/on_loop", "/in_thread", "/slow", "/batched"])
@pytest.mark.parametrize("name", ["ours", "untraced"])
def test_bentomls_own_metrics_count_the_calls_as_stock_does(seen: Seen, name: str, endpoint: str) -> None:
    metric = "bentoml_service_request_total"
    stock = total(seen.samples["stock"], metric, endpoint=endpoint)
    assert stock > 0
    assert total(seen.samples[name], metric, endpoint=endpoint) == stock
