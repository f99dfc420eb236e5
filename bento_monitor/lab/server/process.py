"""A real BentoML server as a child process that leaves nothing behind."""

from __future__ import annotations

import ctypes
import http.client
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil

from ...errors import InputError, ServerError
from ...serving.ports import check_port, free_port
from .server_spec import GRACEFUL_SHUTDOWN_S, HOST, SERVER_MARK, ServerSpec, make_private_home

_POLL_INTERVAL_S = 0.05
_STOP_MARGIN_S = 5.0
_LOG_LINES = 15
_PR_SET_PDEATHSIG = 1
# Looked up at import, since after a fork only the call itself is safe.
_PRCTL = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
# Logged once per worker; /readyz is answered by the first worker that is up, and says nothing about the others.
_WORKER_IS_UP = re.compile(rb"Service \S+ initialized")
_LEGACY_WORKERS = frozenset({"bentoml_cli.worker.http_api_server", "bento_monitor.serving.worker.legacy_api"})


@contextmanager
def start_server(spec: ServerSpec) -> Iterator[ServerProcess]:
    """Serve until the block ends; all workers are ready inside the block.

    Raises:
        InputError: the port is in use.
        ServerError: the server ended early (with its last log lines), or was not ready in time.
    """
    with start_servers([spec]) as (server,):
        yield server


@contextmanager
def start_servers(specs: Sequence[ServerSpec]) -> Iterator[list[ServerProcess]]:
    """Start several servers at the same time, and serve each as `start_server` does until the block ends."""
    with ExitStack() as stack:
        servers = []
        for spec in specs:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bento-monitor-server-")))
            server = ServerProcess(spec, spec.log or folder / "server.log")
            stack.callback(server.stop)
            servers.append(server)
        try:
            for server in servers:
                server.wait_until_ready()
            yield servers
        finally:
            for server in servers:
                server.terminate()


class ServerProcess:
    """A running server: BentoML's supervisor and its workers."""

    def __init__(self, spec: ServerSpec, log: Path) -> None:
        if spec.port is not None:
            check_port(HOST, spec.port)
        self.port = free_port() if spec.port is None else spec.port
        self.log = log
        self._spec = spec
        self._is_ending = False
        environment = spec.environment()
        if spec.home is not None:
            make_private_home(spec.home, {**os.environ, **spec.env})
        self._mark = environment[SERVER_MARK]
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                spec.command(self.port),
                cwd=spec.working_dir,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - one system call, no lock that a thread may hold
            )

    @property
    def pid(self) -> int:
        """The process ID of BentoML's supervisor, which `serve` started."""
        return self._process.pid

    @property
    def base_url(self) -> str:
        """The URL at which the server listens."""
        return f"http://{HOST}:{self.port}"

    @property
    def is_running(self) -> bool:
        """Whether the supervisor is running."""
        return self._process.poll() is None

    def worker_pids(self) -> list[int]:
        """Return the process IDs of the workers of the spec's `service_name`; of all services if there is none."""
        return [child.pid for child in self._supervised() if _is_worker(child, self._spec.service_name)]

    def cpu_seconds(self) -> float:
        """Return the CPU time of the server's live processes; the difference of two calls is that of a load between."""
        total = 0.0
        for process in self._processes():
            with suppress(psutil.Error):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def resident_bytes(self) -> int:
        """Return the resident memory of the server's live processes; what they share counts for each."""
        total = 0
        for process in self._processes():
            with suppress(psutil.Error):
                total += process.memory_info().rss
        return total

    def wait_until_ready(self) -> None:
        """Wait until every worker is ready.

        Raises:
            InputError: the service cannot be imported.
            ServerError: the server ended, or was not ready in time.
        """
        deadline = time.monotonic() + self._spec.ready_timeout_s
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                ending = f"ended with exit code {self._process.returncode} before it was ready"
                wrote = self.last_log_lines()
                last = wrote.splitlines()[-1]
                if self._process.returncode == InputError.exit_code and last.startswith("Error: "):
                    raise InputError(last.removeprefix("Error: "))  # our own command line has said what is wrong
                raise ServerError(f"The server of {self._spec.target} {ending}:\n{wrote}")
            if self._are_workers_up() and self._is_ready():
                return
            time.sleep(_POLL_INTERVAL_S)
        limit = f"was not ready within {self._spec.ready_timeout_s:.0f} s"
        raise ServerError(f"The server of {self._spec.target} {limit}:\n{self.last_log_lines()}")

    def terminate(self) -> None:
        """Let the server finish its requests and end, without waiting for it."""
        if not self._is_ending:  # a second signal could end it at once
            self._is_ending = True
            self._process.terminate()

    def stop(self) -> None:
        """Let the server finish its requests and end, then kill the remaining processes."""
        try:
            self.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(GRACEFUL_SHUTDOWN_S + _STOP_MARGIN_S)
        finally:
            self.kill()

    def last_log_lines(self) -> str:
        """Return the last lines of the server's log."""
        lines = self.log.read_text(errors="replace").strip().splitlines()[-_LOG_LINES:]
        return "\n".join(lines) or "The server wrote nothing."

    def kill(self) -> None:
        """Kill every process of the server at once."""
        # The supervisor first: it would restart killed workers.
        self._process.kill()
        self._process.wait()
        while left := self._processes():
            for process in left:
                with suppress(psutil.Error):
                    process.kill()
            psutil.wait_procs(left, timeout=_STOP_MARGIN_S)

    def _are_workers_up(self) -> bool:
        supervised = self._supervised()
        workers = sum(1 for child in supervised if _is_worker(child, None))
        if any(_LEGACY_WORKERS.intersection(_command_of(child)) for child in supervised):
            return True  # legacy workers log nothing when they are up; /readyz covers their runners
        return 0 < workers <= len(_WORKER_IS_UP.findall(self.log.read_bytes()))

    def _is_ready(self) -> bool:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            # With a path prefix, /readyz is at another path; the log has already shown that the workers are up.
            return connection.getresponse().status in (http.HTTPStatus.OK, http.HTTPStatus.NOT_FOUND)
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _supervised(self) -> list[psutil.Process]:
        try:
            children: list[psutil.Process] = psutil.Process(self.pid).children()
        except psutil.NoSuchProcess:
            return []
        return children

    def _processes(self) -> list[psutil.Process]:
        mark = (SERVER_MARK, self._mark)
        return [process for process in psutil.process_iter(["environ"]) if mark in _environment_of(process)]


def _end_with_parent() -> None:
    """Ask Linux to stop this process when its parent is killed, since nothing else would then stop it."""
    if _PRCTL is not None:
        _PRCTL(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _environment_of(process: psutil.Process) -> set[tuple[str, str]]:
    # psutil returns None for a process of another user, or one that has ended.
    return set((process.info["environ"] or {}).items())


def _command_of(process: psutil.Process) -> list[str]:
    try:
        command: list[str] = process.cmdline()
    except psutil.Error:
        return []
    return command


def _is_worker(process: psutil.Process, service_name: str | None) -> bool:
    command = _command_of(process)
    if "--worker-id" not in command or "--service-name" not in command:
        return False
    return service_name is None or command[command.index("--service-name") + 1] == service_name
