"""A real Jaeger as a child process: on its own loopback ports, which it keeps when it is started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from bento_monitor.serving.ports import free_port

JAEGER_FOLDER = Path(__file__).parent / "jaeger"
_PORTS = ("QUERY_HTTP", "QUERY_GRPC", "OTLP_GRPC", "OTLP_HTTP")
_START_TIMEOUT_S = 60.0
_START_ATTEMPTS = 3
_LOG_CHARS = 4000


def find_jaeger() -> Path | None:
    """Return the binary that `make jaeger` built, or the one on the PATH; None if there is none."""
    found = subprocess.run([JAEGER_FOLDER / "build.sh", "--find"], capture_output=True, text=True, check=False)
    return Path(found.stdout.strip()) if found.returncode == 0 else None


class JaegerServer:
    """A Jaeger in memory, with its endpoints for spans and for queries. It forgets all traces when it stops."""

    def __init__(self, binary: Path, log: Path) -> None:
        self._binary = binary
        self._log = log
        self._ports: dict[str, int] = {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def otlp_http_endpoint(self) -> str:
        """The endpoint for OTLP over HTTP."""
        return f"http://127.0.0.1:{self._ports['OTLP_HTTP']}"

    @property
    def otlp_grpc_endpoint(self) -> str:
        """The endpoint for OTLP over gRPC."""
        return f"http://127.0.0.1:{self._ports['OTLP_GRPC']}"

    @property
    def query_url(self) -> str:
        """The URL of the query API."""
        return f"http://127.0.0.1:{self._ports['QUERY_HTTP']}"

    @property
    def pid(self) -> int:
        """The id of the running process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start Jaeger, on its previous ports if any; it accepts spans and queries when this returns."""
        # A free port may be taken before Jaeger binds it: at the first start another set is tried.
        for _ in range(1 if self._ports else _START_ATTEMPTS):
            ports = self._ports or {name: free_port() for name in _PORTS}
            environment = {f"JAEGER_TEST_{name}_PORT": str(port) for name, port in ports.items()}
            command = [str(self._binary), "--config", str(JAEGER_FOLDER / "config.yaml")]
            self._process = start_process(command, self._log, environment)
            try:
                if self._is_ready(ports):
                    self._ports = ports
                    return
            except BaseException:
                self.stop()
                raise
            self.stop()
        pytest.fail(f"Jaeger did not start:\n{self._log.read_text(errors='replace')[-_LOG_CHARS:]}")

    def stop(self) -> None:
        """Stop Jaeger, if it runs."""
        if self._process is not None:
            stop_process(self._process)
            self._process = None

    def _is_ready(self, ports: dict[str, int]) -> bool:
        assert self._process is not None
        deadline_s = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline_s and self._process.poll() is None:
            if answers(f"http://127.0.0.1:{ports['QUERY_HTTP']}/api/services") and accepts(ports["OTLP_HTTP"]):
                return True
            time.sleep(0.05)
        return False


@contextmanager
def running_jaeger(binary: Path, log: Path) -> Iterator[JaegerServer]:
    """Run a Jaeger until the block ends."""
    server = JaegerServer(binary, log)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def start_process(
    command: Sequence[str], log: Path, environment: dict[str, str], cwd: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start a server in its own session, with only the given telemetry settings; append its output to `log`."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            cwd=cwd,
            env=inherited | environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def stop_process(process: subprocess.Popen[bytes]) -> None:
    """Stop a process that `start_process` started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(url: str) -> bool:
    """Return whether a GET of the URL gets a 200."""
    try:
        with urllib.request.urlopen(url, timeout=1) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def accepts(port: int) -> bool:
    """Return whether something listens on a loopback port."""
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0
