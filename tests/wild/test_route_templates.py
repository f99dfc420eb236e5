"""Spans and metrics have the template of the matched route; only requests without a route are unmatched."""

from __future__ import annotations

import secrets
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from scraping import Samples, scrape, total
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route

from bento_monitor import conventions as names
from bento_monitor.integrations.bentoml.route_templates import RouteTemplates
from bento_monitor.lab.model_host.client import ModelHost
from bento_monitor.lab.server.process import start_server
from bento_monitor.lab.server.server_spec import ServerSpec
from bento_monitor.testing import OtlpReceiver, SpanRecord

PROJECT = Path(__file__).parent / "context"
# Method, path, its template (None if there is none) and its API.
ASKED = [
    ("POST", "/models/users/7/predict", "/models/users/{uid}/predict", "predict"),
    ("POST", "/models/users/8/predict", "/models/users/{uid}/predict", "predict"),
    ("POST", "/models/plain", "/models/plain", "plain"),
    ("POST", "/models/job", "/models/job", "job"),
    ("POST", "/models/job/submit", "/models/job/submit", None),
    ("GET", "/models/job/status?task_id=x", "/models/job/status", None),
    ("GET", "/models/job/get?task_id=x", "/models/job/get", None),
    ("GET", "/models/v1/items/3", "/models/v1/items/{item_id}", None),
    ("GET", "/models/v1/items/4", "/models/v1/items/{item_id}", None),
    ("GET", "/models/v1/nothing", None, None),
    ("GET", "/models/nested/deep/a/page/5", "/models/nested/deep/{name}/page/{number}", None),
    ("GET", "/wsgi/anything/9", "/wsgi", None),  # BentoML mounts these without the prefix
    ("GET", "/nowhere/1", None, None),
    ("DELETE", "/models/plain", "/models/plain", "plain"),
]


def ask(base_url: str, method: str, path: str) -> str:
    trace_id = secrets.token_hex(16)
    headers = {"content-type": "application/json", "traceparent": f"00-{trace_id}-{'1' * 16}-01"}
    body = b'{"x": 1}' if method == "POST" else None
    request = urllib.request.Request(base_url + path, body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            answer.read()
    except urllib.error.HTTPError as error:
        error.close()
    return trace_id


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[list[str], list[SpanRecord], Samples]]:
    with OtlpReceiver() as receiver:
        spec = ServerSpec(
            target="named:Named",
            working_dir=PROJECT,
            as_="monitored",
            env=receiver.environment,
            home=tmp_path_factory.mktemp("named"),
        )
        with start_server(spec) as server:
            ids = [ask(server.base_url, method, path) for method, path, _, _ in ASKED]
            ids += [ask(server.base_url, "GET", f"/models{health}") for health in ("/livez", "/readyz", "/metrics")]
            samples = scrape(server, "/models/metrics")
        yield ids, receiver.spans(), samples


@pytest.mark.parametrize("index", range(len(ASKED)), ids=[f"{method} {path}" for method, path, _, _ in ASKED])
def test_server_span_is_named_by_the_template(seen: tuple[list[str], list[SpanRecord], Samples], index: int) -> None:
    method, _, template, api = ASKED[index]
    ids, spans, _ = seen
    (server,) = [span for span in spans if span.trace_id == ids[index] and span.kind == "SERVER"]
    assert server.name == (f"{method} {template}" if template else method)
    assert server.attributes.get(names.HTTP_ROUTE) == template
    assert server.attributes.get(names.API_NAME) == api


def test_metrics_have_the_templates_and_one_label_for_unmatched(
    seen: tuple[list[str], list[SpanRecord], Samples],
) -> None:
    samples = seen[2]
    metric = "bento_monitor_request_duration_seconds_count"
    found = {labels["route"]: total(samples, metric, route=labels["route"]) for labels, _ in samples[metric]}
    expected: dict[str, int] = {}
    for _, _, template, _ in ASKED:
        route = template or names.ROUTE_UNMATCHED
        expected[route] = expected.get(route, 0) + 1
    # Waiting for the server sends requests to /readyz, which has another path under a prefix.
    assert found.pop(names.ROUTE_UNMATCHED) >= expected.pop(names.ROUTE_UNMATCHED)
    assert found == expected


def test_health_under_a_prefix_is_not_traced(seen: tuple[list[str], list[SpanRecord], Samples]) -> None:
    ids, spans, _ = seen
    assert not {span.trace_id for span in spans} & set(ids[len(ASKED) :])


def test_many_paths_are_bounded_and_the_method_selects_the_route() -> None:
    async def page(_request: object) -> PlainTextResponse:
        return PlainTextResponse("")

    inner = Starlette(routes=[Route("/{a}", page, methods=["GET"]), Route("/{b}", page, methods=["PUT"])])
    templates = RouteTemplates(Starlette(routes=[Host("{sub}.example", inner), Mount("/in", inner), Mount("/s", page)]))
    assert (templates.of("/in/x", "GET"), templates.of("/in/x", "PUT")) == ("/in/{a}", "/in/{b}")
    assert templates.of("/in/x", "DELETE") == "/in/{a}"
    assert templates.of("/s/any/thing") == "/s"
    for number in range(5_000):
        assert templates.of(f"/nowhere/{number}") is None
        assert templates.of("/in/" + "x" * 200 + str(number), "GET") == "/in/{a}"
    assert len(templates._found) <= 1024


def test_measured_route_is_the_served_route() -> None:
    with ModelHost("named:Named", PROJECT) as host:
        routes = {api.name: api.route for api in host.describe().apis}
    assert routes["plain"] == "/models/plain"
