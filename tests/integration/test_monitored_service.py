"""A monitored service: the same responses, one server span per request however it ends, and no side effects."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from bento_monitor.lab.server.process import ServerProcess, start_server
from bento_monitor.lab.server.server_spec import ServerSpec
from bento_monitor.tracing.store.database import store_path
from bento_monitor.tracing.store.reader import StoreReader
from bento_monitor.tracing.store.trace_record import Trace

SERVICES = Path(__file__).parent / "services"
BODY = json.dumps({"x": 3}).encode()


def serve(home: Path, as_: str, **environment: str) -> Iterator[ServerProcess]:
    spec = ServerSpec(
        target="plain:Plain",
        working_dir=SERVICES,
        as_=as_,
        env={"BENTO_MONITOR_HOME": str(home / "monitor"), **environment},
        home=home / "bentoml",
    )
    with start_server(spec) as server:
        yield server


def ask(server: ServerProcess, path: str, body: bytes | None = BODY) -> tuple[int, str, str | None]:
    """Return status, body and request id of a response."""
    request = urllib.request.Request(server.base_url + path, data=body, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, response.read().decode(), response.headers.get("X-BentoML-Request-ID")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), error.headers.get("X-BentoML-Request-ID")


CASES: dict[str, tuple[str, bytes | None]] = {
    "sync": ("/sync", BODY),
    "async": ("/asynchronous", BODY),
    "stream": ("/stream", BODY),
    "batched": ("/batched", json.dumps({"xs": [1, 2]}).encode()),
    "bad json": ("/sync", b"{"),
    "wrong type": ("/sync", b'{"x": "no number"}'),
    "fails": ("/fails", BODY),
    "refuses": ("/refuses", BODY),
    "unknown path": ("/nowhere", BODY),
    "get": ("/sync", None),
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, tuple[int, str, str | None]]]:
    found = {}
    for kind in ("stock", "monitored"):
        home = tmp_path_factory.mktemp(kind)
        for server in serve(home, kind):
            found[kind] = {name: ask(server, path, body) for name, (path, body) in CASES.items()}
    return found


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trace]:
    """The trace of each case."""
    home = tmp_path_factory.mktemp("traces")
    for server in serve(home, "monitored"):
        for path, body in CASES.values():
            ask(server, path, body)
        ask(server, "/livez", None)
    reader = StoreReader(store_path(home / "monitor"))
    ordered = sorted(reader.slowest(100), key=lambda summary: summary.start_ns)
    assert len(ordered) == len(CASES)
    return {name: reader.trace(summary.trace_id) for name, summary in zip(CASES, ordered, strict=True)}


@pytest.mark.parametrize("case", CASES)
def test_response_equals_stock_bentomls(answers: dict[str, dict[str, tuple[int, str, str | None]]], case: str) -> None:
    assert answers["monitored"][case][:2] == answers["stock"][case][:2]
    assert (answers["monitored"][case][2] is None) == (answers["stock"][case][2] is None)


@pytest.mark.parametrize(
    ("case", "status", "names"),
    [
        ("sync", 200, {"POST /sync", "parse", "queue", "infer", "serialize"}),
        ("async", 200, {"POST /asynchronous", "parse", "infer", "serialize"}),
        ("batched", 200, {"POST /batched", "parse", "queue", "infer", "serialize"}),
        ("stream", 200, {"POST /stream", "parse", "infer"}),
        ("bad json", 400, {"POST /sync"}),
        ("fails", 500, {"POST /fails", "parse", "queue", "infer"}),
        ("refuses", 403, {"POST /refuses", "parse", "queue", "infer"}),
        ("unknown path", 404, {"POST"}),
        ("get", 405, {"GET /sync"}),
    ],
)
def test_each_request_has_one_server_span_with_its_status(
    traces: dict[str, Trace], case: str, status: int, names: set[str]
) -> None:
    spans = traces[case].spans
    (server,) = [span for span in spans if span.kind == "SERVER"]
    assert server.attributes["http.response.status_code"] == status
    assert server.is_error == (status >= 500)
    assert {span.name for span in spans} == names


def test_disabled_monitor_leaves_the_service_unchanged(tmp_path: Path) -> None:
    for server in serve(tmp_path, "monitored", BENTO_MONITOR_ENABLED="false"):
        assert ask(server, "/sync")[:2] == (200, "3")
    assert not (tmp_path / "monitor").exists()
