from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest

from bento_monitor.errors import MeasurementError
from optimizers.measurement.server import ServerChoice, serve_trials

SERVICE = """
import os
import bentoml

KEPT = []

@bentoml.service
class Hungry:
    @bentoml.api
    def eat(self, mib: int) -> int:
        KEPT.append(bytearray(os.urandom(2**20) * mib))
        return mib
"""


def eat(port: int, mib: int) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/eat", json.dumps({"mib": mib}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        response.read()


def eat_until_it_ends(port: int) -> None:
    while True:
        eat(port, 128)


def test_server_that_takes_too_much_memory_is_stopped_and_the_next_one_serves(tmp_path: Path) -> None:
    (tmp_path / "service.py").write_text(SERVICE)
    choices = {"hungry": ServerChoice("service:Hungry", tmp_path, "Hungry", "stock", 1)}
    with serve_trials(choices, tmp_path / "servers") as servers:
        server = servers["hungry"]
        with server.within_memory(2**40):
            eat(server.port, 1)
        with (
            pytest.raises(MeasurementError, match=r"took \d+\.\d GiB of memory, more than its limit of 1\.0 GiB"),
            server.within_memory(2**30),
        ):
            eat_until_it_ends(server.port)
    with serve_trials(choices, tmp_path / "servers") as servers, servers["hungry"].within_memory(2**30):
        eat(servers["hungry"].port, 1)
