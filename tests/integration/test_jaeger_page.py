"""The parts of our spans that Jaeger's page and its performance monitoring need, read from the page's API."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from jaeger_server import JaegerServer
from mixed_load import CASES, EACH, send_mixed_load
from waiting import wait_until

from bento_monitor import conventions as names
from bento_monitor.lab.server.process import start_server
from bento_monitor.lab.server.server_spec import ServerSpec

SERVICES = Path(__file__).parent / "services"
SERVICE = "jaeger-page"
Span = dict[str, Any]


class Page:
    """The queries of the page."""

    def __init__(self, url: str, service: str) -> None:
        self._url = url
        self._service = service

    def data(self, path: str, **query: object) -> Any:
        query = {"service": self._service, **query}
        with urllib.request.urlopen(f"{self._url}{path}?{urllib.parse.urlencode(query)}", timeout=20) as response:
            return json.load(response)["data"]

    def spans(self, **query: object) -> list[Span]:
        """Return every span of every trace that a search finds, with its process instead of the process's id."""
        return [
            span | {"process": trace["processes"][span["processID"]]}
            for trace in self.data("/api/traces", limit=10_000, **query)
            for span in trace["spans"]
        ]


@pytest.fixture(scope="module")
def page(jaeger: JaegerServer, tmp_path_factory: pytest.TempPathFactory) -> Page:
    home = tmp_path_factory.mktemp("jaeger-page")
    env = {
        "BENTO_MONITOR_HOME": str(home / "monitor"),
        "OTEL_EXPORTER_OTLP_ENDPOINT": jaeger.otlp_http_endpoint,
        "OTEL_SERVICE_NAME": SERVICE,
    }
    spec = ServerSpec(target="plain:Plain", working_dir=SERVICES, as_="monitored", env=env, home=home / "bentoml")
    with start_server(spec) as server:
        send_mixed_load(server)
    found = Page(jaeger.query_url, SERVICE)
    wait_until(lambda: len(servers(found.spans())) == len(CASES) * EACH)
    return found


def tags(span: Span) -> dict[str, Any]:
    return {tag["key"]: tag["value"] for tag in span["tags"]}


def servers(spans: list[Span]) -> list[Span]:
    return [span for span in spans if tags(span)["span.kind"] == "server"]


def test_search_offers_the_service_and_its_operations(page: Page) -> None:
    assert SERVICE in page.data("/api/services")
    routes = {f"POST {path}" for path, body, status in CASES if body is not None and status != 404}
    # A request without a route has only its method as its name: clients may send any path.
    requests = routes | {"POST", "GET /sync"}
    inside = {"parse", "queue", "infer", "serialize", "batch"}
    assert set(page.data(f"/api/services/{SERVICE}/operations")) == requests | inside
    offered = page.data("/api/operations", spanKind="server")
    assert {operation["name"] for operation in offered} == requests


def test_requests_are_of_kind_server_and_the_rest_is_internal(page: Page) -> None:
    of_kind: dict[str, set[str]] = {}
    for span in page.spans():
        of_kind.setdefault(tags(span)["span.kind"], set()).add(span["operationName"].split()[0])
    assert of_kind == {"server": {"POST", "GET"}, "internal": {"parse", "queue", "infer", "serialize", "batch"}}


def test_only_failed_requests_are_marked_as_errors(page: Page) -> None:
    mark = {"key": "error", "type": "bool", "value": True}
    for span in servers(page.spans()):
        assert (mark in span["tags"]) == (tags(span)[names.HTTP_RESPONSE_STATUS_CODE] == 500)


def test_search_by_status_or_api_finds_the_requests(page: Page) -> None:
    refused = servers(page.spans(tags=json.dumps({names.HTTP_RESPONSE_STATUS_CODE: "403"})))
    assert [span["operationName"] for span in refused] == ["POST /refuses"] * EACH
    batched = page.spans(operation="batch", tags=json.dumps({names.API_NAME: "batched"}))
    assert {span["operationName"] for span in batched} == {"batch"}


def test_stages_are_integers_on_the_server_span(page: Page) -> None:
    for span in servers(page.spans(operation="POST /batched")):
        kinds = {tag["key"]: tag["type"] for tag in span["tags"]}
        assert {kinds[stage] for stage in names.STAGES} == {"int64"}


def test_links_are_references_in_both_directions_with_both_ids(page: Page) -> None:
    spans = page.spans()
    ids = {(span["traceID"], span["spanID"]): span for span in spans}
    infers = [span for span in spans if span["operationName"] == "infer" and names.BATCH_SIZE in tags(span)]
    assert len(infers) == EACH
    for infer in infers:
        parent, link = infer["references"]
        assert (parent["refType"], parent["traceID"]) == ("CHILD_OF", infer["traceID"])
        assert ids[parent["traceID"], parent["spanID"]]["operationName"] == "POST /batched"
        assert link["refType"] == "FOLLOWS_FROM"
        batch = ids[link["traceID"], link["spanID"]]
        assert batch["operationName"] == "batch"
        assert batch["traceID"] != infer["traceID"]
        back = {(each["traceID"], each["spanID"]) for each in batch["references"]}
        assert (infer["traceID"], infer["spanID"]) in back
    linked = {(each["traceID"], each["spanID"]) for span in spans for each in span["references"]}
    assert {(span["traceID"], span["spanID"]) for span in infers} <= linked


def test_process_of_a_span_names_service_and_worker(page: Page) -> None:
    processes = [span["process"] for span in page.spans()]
    assert {process["serviceName"] for process in processes} == {SERVICE}
    (instance,) = {tags(process)["service.instance.id"] for process in processes}
    assert instance
