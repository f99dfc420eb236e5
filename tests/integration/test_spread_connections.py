"""Two workers on one socket: each gets its share of the connections, whatever happens to the other."""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from waiting import wait_until

from bento_monitor.lab.server.process import ServerProcess, start_server
from bento_monitor.lab.server.server_spec import ServerSpec

SERVICES = Path(__file__).parent / "services"
WAIT_S = 30.0
LARGEST_SHARE = 0.6


@contextmanager
def serve(folder: Path) -> Iterator[ServerProcess]:
    spec = ServerSpec(
        target="several:Several",
        working_dir=SERVICES,
        as_="monitored",
        env={"TMPDIR": str(folder)},
        home=folder / "bentoml",
    )
    with start_server(spec) as server:
        wait_for_both(server)
        yield server


def wait_for_both(server: ServerProcess) -> None:
    """Wait until both workers accept, which is a little after they report ready."""
    wait_until(lambda: len(set(answering(server, 8))) == 2, WAIT_S)
    wait_until_left(server)


def wait_until_left(server: ServerProcess) -> None:
    """Wait until the workers have noticed that nobody is connected."""
    wait_until(lambda: not any(held(server, pid) for pid in server.worker_pids()), WAIT_S)
    time.sleep(0.05)


def held(server: ServerProcess, pid: int) -> int:
    ours = psutil.Process(pid).net_connections(kind="tcp")
    return sum(1 for each in ours if each.laddr.port == server.port and each.status != psutil.CONN_LISTEN)


def ask(connection: http.client.HTTPConnection, path: str = "/pid", **arguments: float) -> int:
    connection.request("POST", path, json.dumps(arguments), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status == 200, body
    return int(body)


def answering(server: ServerProcess, connections: int, requests: int = 3) -> list[int]:
    """Open many connections before closing any; return the worker of each."""
    opened = threading.Barrier(connections)

    def work(_: int) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=WAIT_S)
        opened.wait(WAIT_S)
        pids = {ask(connection) for _ in range(requests)}
        opened.wait(WAIT_S)
        connection.close()
        (pid,) = pids
        return pid

    with ThreadPoolExecutor(connections) as pool:
        return list(pool.map(work, range(connections)))


def largest_share(pids: list[int]) -> float:
    return max(Counter(pids).values()) / len(pids)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serve(tmp_path_factory.mktemp("spread")) as found:
        yield found


@pytest.mark.parametrize("connections", [2, 16, 64])
def test_connections_opened_at_once_are_spread(server: ServerProcess, connections: int) -> None:
    for _ in range(3):
        assert largest_share(answering(server, connections)) <= LARGEST_SHARE
        wait_until_left(server)


def test_stopped_worker_keeps_no_client_waiting(server: ServerProcess) -> None:
    stopped, other = server.worker_pids()
    os.kill(stopped, signal.SIGSTOP)
    try:
        assert set(answering(server, 8)) == {other}
    finally:
        os.kill(stopped, signal.SIGCONT)
    wait_for_both(server)
    assert largest_share(answering(server, 16)) <= LARGEST_SHARE
    wait_until_left(server)


def test_killed_worker_is_replaced_in_the_counts(server: ServerProcess) -> None:
    killed, other = server.worker_pids()
    kept = [http.client.HTTPConnection("127.0.0.1", server.port, timeout=WAIT_S) for _ in range(16)]
    owners = [ask(connection) for connection in kept]
    os.kill(killed, signal.SIGKILL)
    for connection, owner in zip(kept, owners, strict=True):
        if owner == killed:
            connection.close()
        assert ask(connection) == other
    for connection in kept:
        connection.close()
    wait_for_both(server)
    assert killed not in server.worker_pids()
    assert largest_share(answering(server, 16)) <= LARGEST_SHARE


def test_stopping_server_answers_requests_in_flight_and_leaves_no_file(tmp_path: Path) -> None:
    with serve(tmp_path) as server, ThreadPoolExecutor(1) as pool:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=WAIT_S)
        ask(connection)
        answer = pool.submit(ask, connection, "/wait", seconds=1.0)
        time.sleep(0.3)
        workers = server.worker_pids()
        os.kill(server.pid, signal.SIGTERM)
        assert answer.result(WAIT_S) in workers
        psutil.wait_procs([psutil.Process(pid) for pid in workers if psutil.pid_exists(pid)], timeout=WAIT_S)
    assert list(tmp_path.rglob("*.connections")) == []
