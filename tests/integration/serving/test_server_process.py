"""A real BentoML server, started and stopped."""

from __future__ import annotations

import json
import os
import socket
import urllib.request
from pathlib import Path

import psutil
import pytest

from bento_monitor.errors import InputError, ServerError
from bento_monitor.lab.loadgen import LoadSpec, run_load, summarize
from bento_monitor.lab.server import ServerProcess, ServerSpec, start_server
from bento_monitor.serving import free_port

SERVICE = """
import os

import bentoml

import optimizers


@bentoml.service(workers=1)
class Doubler:
    @bentoml.api
    def double(self, values: list[float]) -> list[float]:
        return [2 * value for value in values]

    @bentoml.api
    def whereabouts(self) -> dict[str, str]:
        return {"optimizers": optimizers.__file__, "home": os.environ.get("BENTOML_HOME", ""), "cwd": os.getcwd()}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's project with its own `optimizers` folder."""
    folder = tmp_path / "project"
    (folder / "optimizers").mkdir(parents=True)
    (folder / "optimizers" / "__init__.py").write_text("")
    (folder / "service.py").write_text(SERVICE)
    return folder


def ask(server: ServerProcess, api: str, **arguments: object) -> object:
    request = urllib.request.Request(
        f"{server.base_url}/{api}", json.dumps(arguments).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


def _is_alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("as_", ["stock", "monitored"])
def test_project_is_served_from_its_folder_with_its_own_modules(as_, project, tmp_path):
    home = tmp_path / "home"
    with start_server(ServerSpec(target="service:Doubler", working_dir=project, as_=as_, home=home)) as server:
        answer = ask(server, "whereabouts")
    assert answer == {"optimizers": str(project / "optimizers" / "__init__.py"), "home": str(home), "cwd": str(project)}


def test_worker_override_sets_the_number_of_processes(project, tmp_path):
    spec = ServerSpec(
        target="service:Doubler",
        working_dir=project,
        workers=2,
        service_name="Doubler",
        home=tmp_path / "home",
        log=tmp_path / "server.log",
    )
    with start_server(spec) as server:
        workers = server.worker_pids()
        before = server.cpu_seconds()
        result = run_load(
            LoadSpec(
                port=server.port,
                path="/double",
                bodies=(b'{"values": [3]}',),
                mode="closed",
                connections=4,
                request_count=200,
                keep_every=1,
            )
        )
        assert server.cpu_seconds() > before
    assert len(set(workers)) == 2
    assert server.pid not in workers
    assert summarize(result).ok == 200
    assert set(result.responses.values()) == {b"[6.0]"}


def test_no_process_remains_after_the_block_even_with_a_killed_supervisor(project, tmp_path):
    spec = ServerSpec(target="service:Doubler", working_dir=project, home=tmp_path / "home")
    with start_server(spec) as server:
        workers = server.worker_pids()
        psutil.Process(server.pid).kill()
    assert workers
    assert not [pid for pid in workers if _is_alive(pid)]
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", server.port))


def test_failed_start_reports_the_last_log_lines(project, tmp_path):
    (project / "service.py").write_text("raise RuntimeError('the weights are missing')")
    spec = ServerSpec(target="service:Doubler", working_dir=project, home=tmp_path / "home")
    with pytest.raises(ServerError, match="the weights are missing"), start_server(spec):
        pass


def test_port_in_use_is_refused_before_anything_starts(project):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port()))
        taken.listen()
        spec = ServerSpec(target="service:Doubler", working_dir=project, port=taken.getsockname()[1])
        with pytest.raises(InputError, match="cannot be listened on"), start_server(spec):
            pass


def test_private_home_shows_the_models_of_the_shared_home(project, tmp_path):
    shared = tmp_path / "shared"
    (shared / "models" / "kept").mkdir(parents=True)
    home = tmp_path / "home"
    spec = ServerSpec(target="service:Doubler", working_dir=project, env={"BENTOML_HOME": str(shared)}, home=home)
    with start_server(spec) as server:
        assert ask(server, "double", values=[1]) == [2.0]
    assert (home / "models" / "kept").is_dir()
    assert not (shared / "prometheus_multiproc_dir").exists()
    assert os.path.realpath(home / "models") == str(shared / "models")
