"""Timeout and concurrency of a monitored service: the responses of stock BentoML, on both paths."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bento_monitor.lab.server.process import ServerProcess, start_servers
from bento_monitor.lab.server.server_spec import ServerSpec

SERVICES = Path(__file__).parent / "services"
ARMS = {
    "stock": ("stock", {}),
    "fast": ("monitored", {}),
    "bentoml": ("monitored", {"BENTO_MONITOR_FAST_PATH": "false"}),
}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ServerProcess]]:
    homes = {name: tmp_path_factory.mktemp(name) for name in ARMS}
    specs = [
        ServerSpec(target="limited:Limited", working_dir=SERVICES, as_=as_, env=env, home=homes[name])
        for name, (as_, env) in ARMS.items()
    ]
    with start_servers(specs) as found:
        yield dict(zip(ARMS, found, strict=True))


def ask(server: ServerProcess, path: str, seconds: float) -> tuple[int, str]:
    body = json.dumps({"seconds": seconds}).encode()
    request = urllib.request.Request(server.base_url + path, data=body, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.parametrize("path", ["/wait", "/wait_in_thread"])
@pytest.mark.parametrize("arm", ARMS)
def test_request_over_its_timeout_gets_504_and_the_next_succeeds(
    servers: dict[str, ServerProcess], arm: str, path: str
) -> None:
    late = ask(servers[arm], path, 2.5)
    assert late == (504, '{"error":"Not able to process the request in 1 seconds"}')
    assert ask(servers[arm], "/wait", 0.0) == (200, "0.0")


@pytest.mark.parametrize("arm", ARMS)
def test_request_over_the_concurrency_gets_429_and_health_responds(servers: dict[str, ServerProcess], arm: str) -> None:
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: ask(servers[arm], "/wait", 0.7), range(3)))
        with urllib.request.urlopen(servers[arm].base_url + "/livez", timeout=10) as response:
            assert response.status == 200
    assert sorted(answers) == [(200, "0.7"), (200, "0.7"), (429, '{"error":"Too many requests"}')]
