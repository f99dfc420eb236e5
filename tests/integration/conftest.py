"""The real systems that integration tests run against."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

JAEGER_FOLDER = Path(__file__).parent / "jaeger"
JAEGER_PORTS = ("QUERY_HTTP", "QUERY_GRPC", "OTLP_GRPC", "OTLP_HTTP")
START_TIMEOUT_S = 60.0
START_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Jaeger:
    """A running Jaeger: where to send spans, and where to ask for traces."""

    otlp_http_endpoint: str
    otlp_grpc_endpoint: str
    query_url: str
    pid: int


@pytest.fixture(scope="session")
def jaeger(require_means: Callable[[str], NoReturn], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jaeger]:
    """The real Jaeger, in memory, on free loopback ports."""
    found = subprocess.run([JAEGER_FOLDER / "build.sh", "--find"], capture_output=True, text=True, check=False)
    if found.returncode != 0:
        require_means("Jaeger is not built: run make jaeger")
    log = tmp_path_factory.mktemp("jaeger") / "jaeger.log"
    process, ports = _start(Path(found.stdout.strip()), log)
    try:
        yield Jaeger(
            otlp_http_endpoint=f"http://127.0.0.1:{ports['OTLP_HTTP']}",
            otlp_grpc_endpoint=f"http://127.0.0.1:{ports['OTLP_GRPC']}",
            query_url=f"http://127.0.0.1:{ports['QUERY_HTTP']}",
            pid=process.pid,
        )
    finally:
        _stop(process)


def _start(binary: Path, log: Path) -> tuple[subprocess.Popen[bytes], dict[str, int]]:
    # A port found free may be taken before Jaeger binds it, so another set is tried.
    for _ in range(START_ATTEMPTS):
        ports = _free_ports()
        environment = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
        environment.update({f"JAEGER_TEST_{name}_PORT": str(port) for name, port in ports.items()})
        with log.open("ab") as output:
            process = subprocess.Popen(
                [binary, "--config", JAEGER_FOLDER / "config.yaml"],
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            if _is_ready(process, ports):
                return process, ports
        except BaseException:
            _stop(process)
            raise
        _stop(process)
    pytest.fail(f"Jaeger did not start in {START_ATTEMPTS} attempts:\n{log.read_text(errors='replace')[-4000:]}")


def _free_ports() -> dict[str, int]:
    with ExitStack() as stack:
        sockets = {name: stack.enter_context(socket.socket()) for name in JAEGER_PORTS}
        for each in sockets.values():
            each.bind(("127.0.0.1", 0))
        return {name: each.getsockname()[1] for name, each in sockets.items()}


def _is_ready(process: subprocess.Popen[bytes], ports: dict[str, int]) -> bool:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        if _answers(f"http://127.0.0.1:{ports['QUERY_HTTP']}/api/services") and _accepts(ports["OTLP_HTTP"]):
            return True
        time.sleep(0.05)
    return False


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _accepts(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


def _stop(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
