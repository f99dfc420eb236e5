"""Calls to a dependency, with BentoML's own connection settings: none is lost."""

from __future__ import annotations

import http.client
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from bento_monitor.lab.server.process import ServerProcess, start_server
from bento_monitor.lab.server.server_spec import ServerSpec

SERVICES = Path(__file__).parent / "services"
CONCURRENCY = 24


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    home = tmp_path_factory.mktemp("calls") / "bentoml"
    spec = ServerSpec(target="calling:Calling", working_dir=SERVICES, as_="monitored", home=home)
    with start_server(spec) as found:
        yield found


def ask_at_once(server: ServerProcess, path: str, x: int, calls: int) -> Counter[tuple[int, str]]:
    """Send calls, 24 at a time; count their statuses and bodies."""

    def work(_: int) -> Counter[tuple[int, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        answers: Counter[tuple[int, str]] = Counter()
        for _ in range(calls // CONCURRENCY):
            connection.request("POST", path, json.dumps({"x": x}), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answers[answer.status, answer.read().decode()] += 1
        connection.close()
        return answers

    with ThreadPoolExecutor(CONCURRENCY) as pool:
        return sum(pool.map(work, range(CONCURRENCY)), Counter())


def test_session_renewals_lose_no_call(server: ServerProcess) -> None:
    assert ask_at_once(server, "/double", 4, 3000) == {(200, "8"): 3000}


def test_calls_from_threads_are_not_lost(server: ServerProcess) -> None:
    assert ask_at_once(server, "/triple", 4, 960) == {(200, "12"): 960}


def test_stream_outlives_its_session(server: ServerProcess) -> None:
    with ThreadPoolExecutor(1) as pool:
        streams = pool.submit(ask_at_once, server, "/count", 20, CONCURRENCY)
        calls = ask_at_once(server, "/double", 4, 960)
        whole = "".join(f"{number}," for number in range(20))
        assert streams.result() == {(200, whole): CONCURRENCY}
    assert calls == {(200, "8"): 960}


def test_retired_sessions_are_closed(server: ServerProcess) -> None:
    ask_at_once(server, "/double", 4, 2400)
    workers = [psutil.Process(pid) for pid in server.worker_pids()]
    open_sockets = sum(len(worker.net_connections(kind="unix")) for worker in workers)
    # A few sessions of up to 24 connections; all sessions ever made would have 24 times as many.
    assert open_sockets < 10 * CONCURRENCY
