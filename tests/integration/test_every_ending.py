"""However a request ends, it has exactly one server span per service, with the status that its client got."""

from __future__ import annotations

import json
import secrets
import socket
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from bento_monitor import conventions as names
from bento_monitor.lab.server.process import ServerProcess, start_server
from bento_monitor.lab.server.server_spec import ServerSpec
from bento_monitor.testing import OtlpReceiver, SpanRecord, find_violations

SERVICES = Path(__file__).parent / "services"


@dataclass
class Ended:
    """The statuses that clients got, by trace, and all spans."""

    statuses: dict[str, int]
    traces: dict[str, list[str]]
    spans: list[SpanRecord]

    def servers(self, name: str) -> list[list[SpanRecord]]:
        """Return the server spans of each trace of that name."""
        return [
            [span for span in self.spans if span.trace_id == trace_id and span.kind == "SERVER"]
            for trace_id in self.traces[name]
        ]


class Client:
    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self.statuses: dict[str, int] = {}
        self.traces: dict[str, list[str]] = {}

    def _new_trace(self, name: str) -> str:
        trace_id = secrets.token_hex(16)
        self.traces.setdefault(name, []).append(trace_id)
        return trace_id

    def ask(self, name: str, path: str, body: object = None, *, method: str = "POST") -> bytes:
        trace_id = self._new_trace(name)
        headers = {"Content-Type": "application/json", "traceparent": f"00-{trace_id}-{'1' * 16}-01"}
        data = None if method == "GET" else json.dumps(body or {}).encode()
        request = urllib.request.Request(self._server.base_url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                self.statuses[trace_id] = answer.status
                content: bytes = answer.read()
                return content
        except urllib.error.HTTPError as error:
            self.statuses[trace_id] = error.code
            return error.read()

    def leave(self, name: str, path: str, body: object) -> None:
        """Send a request, and close the connection before the response."""
        trace_id, data = self._new_trace(name), json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n"
        with socket.create_connection(("127.0.0.1", self._server.port), timeout=20) as connection:
            connection.sendall(f"{head}traceparent: 00-{trace_id}-{'1' * 16}-01\r\n\r\n".encode() + data)
            # The server has the request: it has answered a later one.
            self.ask("after one that left", "/wait")


@pytest.fixture(scope="module", params=["true", "false"], ids=["fast path", "BentoML's path"])
def ended(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ended]:
    with OtlpReceiver() as receiver:
        env = receiver.environment | {"BENTO_MONITOR_FAST_PATH": request.param}
        home = tmp_path_factory.mktemp("endings")
        spec = ServerSpec(target="endings:Endings", working_dir=SERVICES, as_="monitored", env=env, home=home)
        with start_server(spec) as server:
            client = Client(server)
            client.ask("timeout", "/wait", {"seconds": 5})
            client.ask("timeout in a thread", "/wait_in_thread", {"seconds": 1.5})
            client.ask("mounted", "/mounted/hello")
            client.ask("through", "/through", {"x": 3})
            task = json.loads(client.ask("task", "/later/submit", {"x": 3}))
            client.ask("task status", f"/later/status?task_id={task['task_id']}", method="GET")
            client.leave("left", "/wait", {"seconds": 0.6})
            with ThreadPoolExecutor(12) as pool:
                list(pool.map(lambda _: client.ask("overload", "/slowly", {"xs": [1]}), range(12)))
        yield Ended(client.statuses, client.traces, receiver.spans())


def test_every_request_has_one_server_span_with_its_clients_status(ended: Ended) -> None:
    for name in ("timeout", "timeout in a thread", "mounted", "task", "task status", "overload"):
        for trace_id, servers in zip(ended.traces[name], ended.servers(name), strict=True):
            assert [span.attributes[names.HTTP_RESPONSE_STATUS_CODE] for span in servers] == [ended.statuses[trace_id]]
    assert [ended.statuses[trace_id] for trace_id in ended.traces["timeout"]] == [504]
    of_overload = Counter(ended.statuses[trace_id] for trace_id in ended.traces["overload"])
    assert of_overload[503] > 0
    assert of_overload.keys() <= {200, 503}
    assert find_violations(ended.spans) == []


def test_called_service_has_its_own_server_span_in_the_same_trace(ended: Ended) -> None:
    (servers,) = ended.servers("through")
    outer, inner = sorted(servers, key=lambda span: span.start_ns)
    assert (outer.service, inner.service) == ("Endings", "Inner")
    assert outer.attributes[names.HTTP_ROUTE] == "/through"
    (call,) = [span for span in ended.spans if span.span_id == inner.parent_span_id]
    assert (call.name, call.kind, call.service) == ("Inner/double", "CLIENT", "Endings")
    assert call.attributes == {names.PEER_SERVICE: "Inner", names.API_NAME: "double"}
    assert call.parent_span_id == outer.span_id


def test_span_records_that_the_client_left(ended: Ended) -> None:
    ((left,),) = ended.servers("left")
    assert left.attributes[names.ERROR_TYPE] == "ClientDisconnect"
    assert left.attributes[names.HTTP_ROUTE] == "/wait"


def test_request_over_the_concurrency_has_a_server_span_with_429(tmp_path: Path) -> None:
    with OtlpReceiver() as receiver:
        spec = ServerSpec(
            target="limited:Limited", working_dir=SERVICES, as_="monitored", env=receiver.environment, home=tmp_path
        )
        with start_server(spec) as server:
            client = Client(server)
            with ThreadPoolExecutor(6) as pool:
                list(pool.map(lambda _: client.ask("many", "/wait", {"seconds": 0.5}), range(6)))
        ended = Ended(client.statuses, client.traces, receiver.spans())
    assert Counter(client.statuses.values()) == {200: 2, 429: 4}
    for trace_id, servers in zip(ended.traces["many"], ended.servers("many"), strict=True):
        assert [span.attributes[names.HTTP_RESPONSE_STATUS_CODE] for span in servers] == [client.statuses[trace_id]]
    assert find_violations(ended.spans, requests=6) == []
