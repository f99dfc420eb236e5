"""WebSockets of a mounted application, on a service that has just started."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Event, Request, TextMessage

from bento_monitor.lab.server.process import ServerProcess, start_server
from bento_monitor.lab.server.server_spec import ServerSpec
from bento_monitor.testing import OtlpReceiver

SERVICES = Path(__file__).parent / "services"


class Client:
    """A WebSocket to a server, one message at a time."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._protocol = WSConnection(ConnectionType.CLIENT)
        self._events: list[Event] = []
        self.send(Request(host="127.0.0.1", target="/mounted/echo"))

    def send(self, event: Event) -> None:
        self._socket.sendall(self._protocol.send(event))

    def receive(self) -> Event:
        while not self._events:
            self._protocol.receive_data(self._socket.recv(2**20))
            self._events += self._protocol.events()
        return self._events.pop(0)

    def receive_text(self) -> str:
        text = ""
        while True:
            event = self.receive()
            assert isinstance(event, TextMessage)
            text += event.data
            if event.message_finished:
                return text

    def close(self) -> None:
        self.send(CloseConnection(code=1000))
        assert isinstance(self.receive(), CloseConnection)
        self._socket.close()


@pytest.fixture(params=["true", "false"], ids=["fast path", "BentoML's path"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[ServerProcess, OtlpReceiver]]:
    with OtlpReceiver() as receiver:
        env = receiver.environment | {
            "BENTO_MONITOR_HOME": str(tmp_path / "monitor"),
            "BENTO_MONITOR_FAST_PATH": request.param,
        }
        spec = ServerSpec(target="sockets:Sockets", working_dir=SERVICES, env=env, home=tmp_path / "bentoml")
        with start_server(spec) as server:
            yield server, receiver


def test_socket_echoes_messages_of_any_size_while_requests_are_traced(
    served: tuple[ServerProcess, OtlpReceiver],
) -> None:
    server, receiver = served
    client = Client(server.port)
    assert isinstance(client.receive(), AcceptConnection)
    for text in ("ab", "HTTP/1.1 200 OK", "x" * 200_000 + "y", "cd"):
        client.send(TextMessage(data=text))
        assert client.receive_text() == text[::-1]
    with urllib.request.urlopen(f"{server.base_url}/mounted/hello", timeout=20) as answer:
        assert answer.read() == b"hello"
    client.close()
    (span,) = receiver.wait_for_spans(lambda spans: any(span.kind == "SERVER" for span in spans))
    assert (span.name, span.attributes["http.response.status_code"]) == ("GET /mounted/hello", 200)
