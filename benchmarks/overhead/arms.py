"""The arms of `make bench-overhead`: stock, stock with BentoML's own traces, and ours at several sampling rates."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from served.arms import SERVICES, STOCK, Arm
from wrk import Block

from bento_monitor.serving.ports import free_port

STOCK_OTLP = "stock, its own OTLP"
NO_LEDGER, AT_0, AT_1, AT_100 = "ours, no ledger", "ours at 0 %", "ours at 1 %", "ours at 100 %"
PATH_AT_100 = "ours at 100 %, BentoML's path"
_UNLIMITED = {"BENTO_MONITOR_TRACE_RATE_LIMIT": "0"}
_QUIET_S = 1.0
_READY_S = 30.0
_DRAIN_S = 120.0


def environments(endpoint: str) -> dict[str, dict[str, str]]:
    """Return the variables of each arm. Its spans go to `endpoint` under its own name, since some come seconds late."""
    otlp = {"protocol": "http", "endpoint": f"{_under_name(endpoint, STOCK_OTLP)}/v1/traces"}
    tracing = {"exporter_type": "otlp", "sample_rate": 1.0, "otlp": otlp}

    def sampled(arm: str, ratio: str) -> dict[str, str]:
        return _UNLIMITED | {
            "OTEL_EXPORTER_OTLP_ENDPOINT": _under_name(endpoint, arm),
            "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": ratio,
        }

    return {
        STOCK: {},
        STOCK_OTLP: {"BENTOML_CONFIG_OVERRIDES": json.dumps({"services": {"Served": {"tracing": tracing}}})},
        NO_LEDGER: {"BENTO_MONITOR_TRACING": "false"},
        AT_0: sampled(AT_0, "0"),
        AT_1: sampled(AT_1, "0.01"),
        AT_100: sampled(AT_100, "1"),
        PATH_AT_100: sampled(PATH_AT_100, "1") | {"BENTO_MONITOR_FAST_PATH": "false"},
    }


@dataclass(frozen=True, slots=True)
class Received:
    """The spans of a block: how many distinct ones by name, and the median duration of the server spans."""

    requests: int
    counts: dict[str, int]
    server_p50_ms: float | None
    client_p50_ms: float


@dataclass(slots=True)
class SpanCounter:
    """Counts, around each block of an arm, the spans that the receiver got."""

    endpoint: str
    found: dict[str, list[Received]] = field(default_factory=dict)

    def before(self, arm: Arm) -> None:
        """Drop the spans of earlier blocks and checks, which may still be arriving."""
        self._take(arm)

    def after(self, arm: Arm, block: Block) -> None:
        """Wait until all spans have arrived, and count them."""
        summary = self._take(arm)
        received = Received(block.requests, summary["counts"], summary["server_p50_ms"], block.p50_ms)
        self.found.setdefault(arm.name, []).append(received)

    def _take(self, arm: Arm) -> dict[str, Any]:
        address = _under_name(self.endpoint, arm.name)
        stored, since_s, deadline_s = -1, time.monotonic(), time.monotonic() + _DRAIN_S
        while time.monotonic() - since_s < _QUIET_S and time.monotonic() < deadline_s:
            now = int(_get(f"{address}/stored"))
            if now != stored:
                stored, since_s = now, time.monotonic()
            time.sleep(_QUIET_S / 10)
        answer: dict[str, Any] = json.loads(_get(f"{address}/take"))
        return answer


@contextmanager
def start_receiver() -> Iterator[str]:
    """Start a receiver in its own process; yield its endpoint."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "overhead.receiver:app", "--no-access-log", "--log-level", "warning"]
    with subprocess.Popen([*command, "--port", str(port)], cwd=SERVICES) as process:
        try:
            endpoint = f"http://127.0.0.1:{port}"
            _wait_until_ready(endpoint)
            yield endpoint
        finally:
            process.kill()


def _under_name(endpoint: str, arm: str) -> str:
    return f"{endpoint}/{''.join(letter for letter in arm if letter.isalnum())}"


def _wait_until_ready(endpoint: str) -> None:
    deadline_s = time.monotonic() + _READY_S
    while True:
        try:
            _get(f"{endpoint}/ready/stored")
            return
        except OSError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.05)


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=_DRAIN_S) as response:  # noqa: S310 - our loopback address
        content: bytes = response.read()
        return content
