"""The compared servers, all up at once, each with its own state."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import psutil
from served.against import python_of
from served.installed import InstalledSpec, python_as_installed
from served.pauses import PAUSES_FOLDER

from bento_monitor.lab.server.process import ServerProcess, start_servers
from bento_monitor.lab.server.server_spec import ServerSpec
from bento_monitor.serving.ports import free_port

SERVICES = Path(__file__).resolve().parent.parent
STOCK, AGAIN, INSTALLED = "stock", "stock again", "stock as installed"
OURS, OFF, BENTOML_PATH = "ours", "ours off", "ours, BentoML's path"
AGAINST = "ours, another commit"
FASTAPI, LITSERVE, ASGI = "fastapi", "litserve", "uvicorn alone"
_OTHERS = {
    FASTAPI: ["-m", "uvicorn", "served.fastapi_app:app", "--port"],
    LITSERVE: ["-m", "served.litserve_app"],
    ASGI: ["-m", "uvicorn", "served.asgi_app:app", "--no-access-log", "--port"],
}
SAMPLER = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01"}
_OURS = {
    OURS: SAMPLER,
    OFF: {"BENTO_MONITOR_ENABLED": "false"},
    BENTOML_PATH: SAMPLER | {"BENTO_MONITOR_FAST_PATH": "false"},
    AGAINST: SAMPLER,
}
_READY_TIMEOUT_S = 60
_PLAIN = "served.plain:Served"


@dataclass(frozen=True, slots=True)
class Arm:
    """A running server: all its processes, its workers, which hold the connections, and their file of pauses."""

    name: str
    port: int
    processes: tuple[psutil.Process, ...]
    workers: tuple[psutil.Process, ...] = ()
    pauses: Path | None = None

    def cpu_seconds(self) -> float:
        """Return the CPU time that its processes have used."""
        return sum(sum(process.cpu_times()[:2]) for process in self.processes)

    def rss_mib(self) -> float:
        """Return the memory that its workers hold."""
        return sum(worker.memory_info().rss for worker in self.workers) / 2**20

    def largest_connection_share(self) -> float:
        """Return the largest share of the established connections that one worker holds."""
        held = [self._connections_of(worker) for worker in self.workers]
        return max(held) / max(sum(held), 1)

    def _connections_of(self, worker: psutil.Process) -> int:
        found = worker.net_connections("tcp")
        return sum(each.status == psutil.CONN_ESTABLISHED and each.laddr.port == self.port for each in found)


@contextmanager
def start_arms(
    names: Sequence[str],
    *,
    targets: Mapping[str, str] | None = None,
    workers: int | None = None,
    environments: Mapping[str, Mapping[str, str]] = _OURS,
    against: str | None = None,
) -> Iterator[dict[str, Arm]]:
    """Start every named server; idle servers use no CPU time of the one under load.

    Args:
        names: which arms, of the constants above.
        targets: the services of arms that do not serve `served.plain:Served`.
        workers: worker processes of the service, if not one.
        environments: variables of BentoML's arms. An arm whose name begins with "ours" is monitored.
        against: the commit that serves the arm `AGAINST`.
    """
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-served-")))
        bentoml = [name for name in names if name not in _OTHERS]
        specs = [
            _spec(name, home / f"arm-{n}", (targets or {}).get(name, _PLAIN), workers, environments.get(name, {}))
            for n, name in enumerate(bentoml)
        ]
        pythons = {INSTALLED: python_as_installed} | ({} if against is None else {AGAINST: partial(python_of, against)})
        specs = [
            _by(pythons[name](), spec) if name in pythons else spec for name, spec in zip(bentoml, specs, strict=True)
        ]
        servers = stack.enter_context(start_servers(specs))
        arms = {
            name: _arm(name, server, Path(spec.env[PAUSES_FOLDER]))
            for name, server, spec in zip(bentoml, servers, specs, strict=True)
        }
        for name in names:
            if name in _OTHERS:
                arms[name] = stack.enter_context(_other(name, home / f"{name}.log"))
        yield {name: arms[name] for name in names}


def _spec(name: str, folder: Path, target: str, workers: int | None, env: Mapping[str, str]) -> ServerSpec:
    pauses = folder / "pauses"
    pauses.mkdir(parents=True)
    return ServerSpec(
        target=target,
        working_dir=SERVICES,
        as_="monitored" if name.startswith(OURS) else "stock",
        workers=workers,
        service_name=None if workers is None else target.partition(":")[2],
        env={**env, PAUSES_FOLDER: str(pauses)},
        home=folder / "home",
        log=folder / "log",
    )


def _by(python: Path, spec: ServerSpec) -> ServerSpec:
    """Return the server with another Python; earlier commits of this repository read their target from a variable."""
    env = spec.env if spec.as_ == "stock" else {**spec.env, "BENTO_MONITOR_TARGET": spec.target}
    values = {each.name: getattr(spec, each.name) for each in fields(spec)}
    return InstalledSpec(**{**values, "env": env}, python=python)


def _arm(name: str, server: ServerProcess, pauses: Path) -> Arm:
    supervisor = psutil.Process(server.pid)
    workers = tuple(psutil.Process(pid) for pid in server.worker_pids())
    return Arm(name, server.port, (supervisor, *supervisor.children(recursive=True)), workers, pauses)


@contextmanager
def _other(name: str, log: Path) -> Iterator[Arm]:
    """Start another framework's server in its default configuration, its access log on like BentoML's."""
    port = free_port()
    command = [sys.executable, *_OTHERS[name], str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=SERVICES, stdout=output, stderr=output, start_new_session=True)
        try:
            _wait_until_ready(port, log)
            parent = psutil.Process(process.pid)
            yield Arm(name, port, (parent, *parent.children(recursive=True)))
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_until_ready(port: int, log: Path) -> None:
    deadline_s = time.monotonic() + _READY_TIMEOUT_S
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                return
        except OSError:
            if time.monotonic() > deadline_s:
                raise RuntimeError(f"A server was not ready in time:\n{log.read_text()[-2000:]}") from None
            time.sleep(0.1)
