"""Limits on a client's requests to a monitored service, on both paths, through real sockets."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest
from scraping import scraped_text

from bento_monitor.lab.server.process import ServerProcess, start_servers
from bento_monitor.lab.server.server_spec import ServerSpec

SERVICES = Path(__file__).parent / "services"
SETTINGS = {
    "BENTO_MONITOR_MAX_BODY_BYTES": "100000",
    "BENTO_MONITOR_BODY_IDLE_TIMEOUT_S": "1",
    "BENTO_MONITOR_MAX_HEADER_COUNT": "50",
    "BENTO_MONITOR_MAX_HEADER_BYTES": "8000",
    "BENTO_MONITOR_HEAD_TIMEOUT_S": "3",
    "BENTO_MONITOR_MAX_WAITING_CONNECTIONS": "200",
}
PATHS = {"fast": "true", "bentoml": "false"}
BODY = b'{"text": "abc"}'
FLOOD = 3000
# 200 waiting connections need about 1 MiB; without the limit, 3,000 needed 17.
FLOOD_RSS_MIB = 10


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ServerProcess]]:
    specs = [
        ServerSpec(
            target="limited:Guarded",
            working_dir=SERVICES,
            as_="monitored",
            env={**SETTINGS, "BENTO_MONITOR_FAST_PATH": value},
            home=tmp_path_factory.mktemp(name),
        )
        for name, value in PATHS.items()
    ]
    with start_servers(specs) as found:
        yield dict(zip(PATHS, found, strict=True))


def connect(server: ServerProcess) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)


def head(*headers: str) -> bytes:
    lines = ["POST /echo HTTP/1.1", "host: h", "content-type: application/json", *headers, "", ""]
    return "\r\n".join(lines).encode()


def read_all(client: socket.socket) -> bytes:
    """Read until the server closes the connection; a reset also means that."""
    answer = b""
    try:
        while part := client.recv(65536):
            answer += part
    except ConnectionResetError:
        pass
    return answer


def status_and_error(answer: bytes) -> tuple[int, str]:
    top, _, body = answer.partition(b"\r\n\r\n")
    assert b"connection: close" in top.lower()
    return int(top.split()[1]), json.loads(body)["error"]


def assert_recorded(server: ServerProcess, status: int, count: int) -> None:
    """Check the metrics, which are written before a scrape, and with them the access log."""
    (line,) = [
        line
        for line in scraped_text(server).splitlines()
        if line.startswith("bentoml_service_request_total") and f'http_response_code="{status}"' in line
    ]
    assert 'endpoint="/echo"' in line
    assert float(line.split()[-1]) == count
    assert server.log.read_text().count(f"(status={status},") == count


@pytest.mark.parametrize("arm", PATHS)
def test_body_over_the_limit_gets_413_and_is_recorded(servers: dict[str, ServerProcess], arm: str) -> None:
    expected = (413, "The request's body is larger than 100000 bytes")
    with connect(servers[arm]) as client:
        client.sendall(head("content-length: 100001"))
        assert status_and_error(read_all(client)) == expected
    with connect(servers[arm]) as client:
        client.sendall(head("transfer-encoding: chunked"))
        for _ in range(11):
            client.sendall(b"2710\r\n" + b" " * 10_000 + b"\r\n")
        assert status_and_error(read_all(client)) == expected
    assert_recorded(servers[arm], 413, 2)


@pytest.mark.parametrize("arm", PATHS)
def test_stopped_body_gets_408_and_slow_body_is_served(servers: dict[str, ServerProcess], arm: str) -> None:
    with connect(servers[arm]) as stopped, connect(servers[arm]) as dripping:
        for client in (stopped, dripping):
            client.sendall(head(f"content-length: {len(BODY)}", "connection: close"))
        stopped.sendall(BODY[:3])
        for byte in BODY:
            time.sleep(0.15)
            dripping.sendall(bytes([byte]))
        assert read_all(dripping).startswith(b"HTTP/1.1 200 OK")
        expected = (408, "No part of the request's body came for 1 seconds")
        assert status_and_error(read_all(stopped)) == expected
    assert_recorded(servers[arm], 408, 1)


@pytest.mark.parametrize("headers", [[f"x-{number}: 1" for number in range(60)], ["x: " + "y" * 8000]])
def test_head_over_a_limit_gets_431(servers: dict[str, ServerProcess], headers: list[str]) -> None:
    with connect(servers["fast"]) as client:
        client.sendall(head(*headers, "content-length: 0"))
        assert status_and_error(read_all(client)) == (431, "Request Header Fields Too Large")


def test_endless_header_is_cut(servers: dict[str, ServerProcess]) -> None:
    with connect(servers["fast"]) as client:
        client.sendall(head()[:-2] + b"x: ")
        with suppress(OSError):  # a reset or a broken pipe, depending on the kernel
            for _ in range(20):
                client.sendall(b"y" * 1000)
                time.sleep(0.01)
        assert status_and_error(read_all(client)) == (431, "Request Header Fields Too Large")


def test_half_open_connections_are_limited_and_do_not_stop_the_service(servers: dict[str, ServerProcess]) -> None:
    server = servers["fast"]
    (worker,) = [psutil.Process(pid) for pid in server.worker_pids()]
    before = worker.memory_info().rss
    with ExitStack() as stack:
        for number in range(FLOOD):
            client = stack.enter_context(connect(server))
            client.sendall(head()[: number % 40])
            if number % 500 == 499:
                with connect(server) as other:
                    other.sendall(head(f"content-length: {len(BODY)}", "connection: close") + BODY)
                    assert read_all(other).startswith(b"HTTP/1.1 200 OK")
        waiting = open_connections(worker, server)
        grown_mib = (worker.memory_info().rss - before) / 2**20
    assert waiting <= 205
    assert grown_mib < FLOOD_RSS_MIB


def open_connections(worker: psutil.Process, server: ServerProcess) -> int:
    held = worker.net_connections("tcp")
    return sum(each.status == psutil.CONN_ESTABLISHED and each.laddr.port == server.port for each in held)


def test_half_open_connection_is_closed_after_its_timeout(servers: dict[str, ServerProcess]) -> None:
    with connect(servers["fast"]) as silent, connect(servers["fast"]) as begun:
        begun.sendall(head()[:20])
        began_s = time.monotonic()
        assert status_and_error(read_all(begun)) == (408, "Request Timeout")
        assert read_all(silent) == b""
        assert time.monotonic() - began_s < 8
