"""Responses that intentionally differ from stock BentoML's: each case with its reason and the correct response.

If stock is wrong, the correct response is the one that it gives to the same request sent alone.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from arms import STOCK, Answered, Arm, served
from requests_of_kinds import Asked

BATCHED = "/batched_with_context"


@pytest.fixture(scope="module")
def arms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Arm]]:
    with served(tmp_path_factory.mktemp("intended")) as found:
        yield {arm.name: arm for arm in found}


def ask_at_once(arm: Arm, asked: list[Asked]) -> list[Answered]:
    """Send each request on its own connection, so that they form batches."""
    with ThreadPoolExecutor(len(asked)) as pool:
        return list(pool.map(lambda each: ask_once(arm, each), asked))


def ask_once(arm: Arm, asked: Asked) -> Answered:
    own = Arm(arm.name, arm.server)
    try:
        return own.ask(asked)
    finally:
        own.connection.close()


def greeting(given: str) -> Asked:
    return Asked("POST", BATCHED, (("content-type", "application/json"), ("x-given", given)), b'{"xs": [1]}')


def test_ctx_in_a_batch_belongs_to_each_request(
    arms: dict[str, Arm],
) -> None:
    asked = [greeting(f"caller {number % 3}") for number in range(12)]
    alone = [(201, f'["{dict(each.headers)["x-given"]}"]'.encode()) for each in asked]
    answers = {name: [(answer.status, answer.body) for answer in ask_at_once(arm, asked)] for name, arm in arms.items()}
    stock = answers.pop(STOCK)
    assert all(found == alone for found in answers.values())
    assert stock != alone, "BentoML has mended it: move the API to the generated requests"


def test_several_baggage_headers_are_one_list(arms: dict[str, Arm]) -> None:
    headers = (("content-type", "application/json"), ("baggage", "a=1"), ("baggage", "b=2"))
    answers = {
        name: json.loads(ask_once(arm, Asked("POST", "/carried", headers, b"{}")).body) for name, arm in arms.items()
    }
    stock = answers.pop(STOCK)
    assert all(found["baggage"] == {"a": "1", "b": "2"} for found in answers.values())
    assert stock["baggage"] == {"a": "1"}, "OpenTelemetry has mended it: generate several in the differential test"


@dataclass(frozen=True)
class Label:
    """A path, and the endpoint labels under which its requests are counted."""

    path: str
    stock: str
    ours: str
    reason: str


LABELS = (
    Label("/nowhere/12345", "/nowhere/12345", "unmatched", "a scan of paths would make a series of each"),
    Label("/static_content/x.css", "/static_content/x.css", "/static_content", "the template of the mount is bounded"),
)


@pytest.mark.parametrize("label", LABELS, ids=lambda label: label.reason)
def test_metrics_are_labelled_by_route_templates(arms: dict[str, Arm], label: Label) -> None:
    for name, arm in arms.items():
        arm.ask(Asked("GET", label.path, (), b""))
        expected = label.stock if name == STOCK else label.ours
        assert sum(arm.series((expected,)).values()) > 0, name
        if name != STOCK:
            assert not arm.series((label.stock,)), name


def sent(arm: Arm, head: bytes) -> bytes:
    """Send bytes on a new connection; return the first line of the response, empty if none came."""
    with socket.create_connection(("127.0.0.1", arm.server.port), timeout=10) as connection:
        connection.sendall(head)
        return connection.recv(4096).partition(b"\r\n")[0]


@pytest.mark.parametrize(
    "headers",
    [
        b"",  # no host
        b"host: a\r\nhost: b\r\n",
        b"host: a\r\ntransfer-encoding: gzip, chunked\r\n",
    ],
)
def test_ambiguous_requests_are_refused(arms: dict[str, Arm], headers: bytes) -> None:
    """httptools accepts them, h11, which stock uses without it, does not: with a proxy they could smuggle a request."""
    head = b"POST /double HTTP/1.1\r\n" + headers + b"\r\n"
    for name, arm in arms.items():
        if name != STOCK:
            assert sent(arm, head) == b"HTTP/1.1 400 Bad Request", name
            assert sent(arm, b"GET /readyz HTTP/1.1\r\nhost: a\r\n\r\n").startswith(b"HTTP/1.1 200"), name


def test_client_input_stays_in_its_own_log_line(arms: dict[str, Arm]) -> None:
    """Stock writes client input unescaped if it can: after an early end of line a client could forge a line."""
    for name, arm in arms.items():
        if name == STOCK:
            continue
        for _ in range(6):
            sent(arm, b"POST /nowhere%0d%0aforged%1b[2J HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n")
            odd = b"POST /odd HTTP/1.1\r\nhost: a\r\ncontent-type: application/json;\xff\r\ncontent-length: 2\r\n\r\n{}"
            assert sent(arm, odd).startswith(b"HTTP/1.1 ")
        sent(arm, b"POST /plain-after HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n")
        deadline_s = time.monotonic() + 10
        while not (lines := [line for line in arm._log_lines() if "/plain-after" in line]):
            assert time.monotonic() < deadline_s, f"{name}: the access log has ended"
            time.sleep(0.05)
        assert len(lines) == 1
        text = "\n".join(arm._log_lines())
        assert text.count("path=/nowhere\\r\\nforged\\x1b[2J,") == 6
        assert text.count("type=application/json;\\xff,") == 6
