"""CPU time of a bare loop over the service's function, relative to the server's for the same calls."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

from served.arms import ASGI, OURS, SERVICES, Arm
from wrk import Block

LONGEST_S = 2.0
_BARE = (OURS, ASGI)


class BareLoop:
    """A process that calls the function on demand, and sleeps otherwise."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, job: dict[str, Any]) -> dict[str, float]:
        """Run one job of `served/bare.py`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"The bare loop exited with code {self._process.wait()}.")
        answer: dict[str, float] = json.loads(line)
        return answer


@contextmanager
def start_bare() -> Iterator[BareLoop]:
    """Start a bare loop for the duration of the `with` block."""
    command = [sys.executable, "-m", "served.bare"]
    environment = os.environ | {"TQDM_DISABLE": "1"}
    with subprocess.Popen(
        command, cwd=SERVICES, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield BareLoop(process)
        finally:
            process.kill()


class BareModel:
    """The model alone, for up to 2 s, after each block of ours and of uvicorn alone: CPU time per call.

    The server's CPU time is divided by the calls that it made, not by the client's requests: when the client leaves,
    the server still computes for up to 16 requests that the client does not count, 1.8 % of a block at 5 ms.
    """

    def __init__(self, bare: BareLoop, name: str, seconds: float) -> None:
        self._bare = bare
        self._job = {"model": name, "seconds": min(seconds, LONGEST_S)}
        self._before = (0, 0.0)

    def before(self, arm: Arm) -> None:
        """Note the server's calls and CPU time before the block."""
        if arm.name in _BARE:
            self._before = _ask(arm.port, "/calls"), arm.cpu_seconds()

    def after(self, arm: Arm, block: Block) -> float | None:
        """Return the CPU time of a call over the server's for one."""
        if arm.name not in _BARE:
            return None
        calls = _ask(arm.port, "/calls") - self._before[0]
        served_s = arm.cpu_seconds() - self._before[1]
        answer = self._bare.run(self._job)
        return answer["cpu_s"] / answer["calls"] / (served_s / calls)


class BareBatches:
    """The server's batches, run again without a server after each of our blocks."""

    def __init__(self, bare: BareLoop, texts: Sequence[str]) -> None:
        self._bare = bare
        # Like the server's warm-up: the kernels for a shape are built at its first use.
        bare.run({"batches": [list(texts[start : start + 16]) for start in range(0, len(texts), 16)]})
        self._before_s = 0.0

    def before(self, arm: Arm) -> None:
        """Forget the batches of the check."""
        _take_batches(arm.port)
        self._before_s = arm.cpu_seconds()

    def after(self, arm: Arm, block: Block) -> float | None:
        """Return the CPU time of the batches over the server's for them."""
        batches = _take_batches(arm.port)
        served_s = arm.cpu_seconds() - self._before_s
        if arm.name != OURS:
            return None
        answer = self._bare.run({"batches": batches})
        print(f"{len(batches)} batches of {sum(map(len, batches)) / max(len(batches), 1):.1f} texts", flush=True)
        return answer["cpu_s"] / served_s


def _take_batches(port: int) -> list[list[str]]:
    batches: list[list[str]] = _ask(port, "/batches")
    return batches


def _ask(port: int, path: str) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with closing(connection):
        connection.request("POST", path, b"{}", {"Content-Type": "application/json"})
        return json.load(connection.getresponse())
