"""A stream that breaks midway is an error on its span, whatever its status, and is kept even if not sampled."""

from __future__ import annotations

import http.client
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from bento_monitor import conventions as names
from bento_monitor.lab.server.process import ServerProcess, start_server
from bento_monitor.lab.server.server_spec import ServerSpec
from bento_monitor.testing import OtlpReceiver, SpanRecord

PROJECT = Path(__file__).parent / "context"
BROKEN = ["/on_loop", "/in_thread", "/at_once", "/pages/broken"]


def ask(server: ServerProcess, path: str) -> str:
    trace_id = secrets.token_hex(16)
    headers = {"content-type": "application/json", "traceparent": f"00-{trace_id}-{'1' * 16}-00"}
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        connection.request("POST", path, b"{}", headers)
        connection.getresponse().read()
    except (http.client.HTTPException, OSError):
        pass  # the stream breaks
    finally:
        connection.close()
    return trace_id


@pytest.fixture(scope="module", params=["true", "false"], ids=["fast path", "BentoML's path"])
def seen(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[dict[str, str], list[SpanRecord]]]:
    with OtlpReceiver() as receiver:
        env = receiver.environment | {
            "BENTO_MONITOR_TRACE_TAIL_SAMPLING": "failed",
            "BENTO_MONITOR_FAST_PATH": request.param,
        }
        home = tmp_path_factory.mktemp("streams")
        spec = ServerSpec(target="streams:Streams", working_dir=PROJECT, as_="monitored", env=env, home=home)
        with start_server(spec) as server:
            ids = {path: ask(server, path) for path in (*BROKEN, "/whole")}
        yield ids, receiver.spans()


@pytest.mark.parametrize("path", BROKEN)
def test_broken_stream_is_an_error_and_kept(seen: tuple[dict[str, str], list[SpanRecord]], path: str) -> None:
    ids, spans = seen
    (server,) = [span for span in spans if span.trace_id == ids[path] and span.kind == "SERVER"]
    assert server.is_error
    assert server.attributes[names.ERROR_TYPE] in ("ValueError", "500")
    assert server.attributes[names.HTTP_ROUTE] == path


def test_complete_stream_is_not_an_error(seen: tuple[dict[str, str], list[SpanRecord]]) -> None:
    ids, spans = seen
    assert not [span for span in spans if span.trace_id == ids["/whole"]]
