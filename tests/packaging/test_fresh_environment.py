"""The wheel in an environment that has nothing but what a worker needs, and a torch of two years ago."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest

from bento_monitor.serving.ports import free_port

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")
MOST_MIB = 200
TORCH = "torch==2.6.0"
LEFT_OUT = ("onnx", "onnxruntime", "onnxscript", "optuna", "scipy")
SERVICE = """
import bentoml
import numpy as np
import torch
{imports}

{decorator}
@bentoml.service
class Served:
    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = {model}

    @bentoml.api(batchable=True)
    def predict(self, x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return self.model(torch.from_numpy(x.astype("float32"))).numpy()
"""


@dataclass(frozen=True)
class Fresh:
    """An environment; `size_mib` is that of its site-packages before torch was installed."""

    bin: Path
    size_mib: float
    env: dict[str, str]

    def run(self, *command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        program, *arguments = command
        line = [self.bin / program, *arguments]
        return subprocess.run(line, cwd=cwd, env=self.env, capture_output=True, text=True, check=False)

    @contextmanager
    def serving(self, *command: str, cwd: Path) -> Iterator[str]:
        """The base URL of a server that `command` starts."""
        program, *arguments = command
        port = free_port()
        line = [self.bin / program, *arguments, "--host", "127.0.0.1", "--port", str(port)]
        with (cwd / "server.log").open("wb") as log:
            server = subprocess.Popen(line, cwd=cwd, env=self.env, stdout=log, stderr=log)
        try:
            wait_until_ready(f"http://127.0.0.1:{port}", server, cwd / "server.log")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(timeout=60)


def wait_until_ready(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline_s = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5):
                return
        except OSError:
            assert time.monotonic() < deadline_s, log.read_text()
            assert server.poll() is None, log.read_text()
            time.sleep(0.1)


@pytest.fixture(scope="module")
def fresh(
    wheel: Path, tmp_path_factory: pytest.TempPathFactory, require_means: Callable[[str], NoReturn]
) -> Iterator[Fresh]:
    if not UV.exists():
        require_means("uv is not beside this Python: make install puts it there.")
    home = tmp_path_factory.mktemp("fresh")
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, home / "venv"], check=True)
    python = home / "venv" / "bin" / "python"

    def install(*what: Any) -> None:
        subprocess.run([UV, "pip", "install", "--quiet", "--python", python, *what], check=True)

    install(wheel, "-c", ROOT / "constraints.txt")
    (packages,) = (home / "venv" / "lib").glob("python*/site-packages")
    size_bytes = sum(path.lstat().st_size for path in packages.rglob("*"))
    install(TORCH)
    left_out = ("PYTHON", "VIRTUAL_ENV", "BENTO_MONITOR_", "OTEL_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    yield Fresh(python.parent, size_bytes / 2**20, {**env, "BENTOML_HOME": str(home / "bentoml")})
    shutil.rmtree(home / "venv")  # gigabytes, and folders of tests are kept for a while


def test_it_is_small(fresh: Fresh) -> None:
    assert fresh.size_mib <= MOST_MIB


def test_what_only_extras_bring_is_not_there(fresh: Fresh, tmp_path: Path) -> None:
    code = f"from importlib.util import find_spec; print([name for name in {LEFT_OUT} if find_spec(name)])"
    assert fresh.run("python", "-c", code, cwd=tmp_path).stdout == "[]\n"


@pytest.mark.parametrize("way", ["bento-monitor serve", "@monitored"])
def test_a_service_of_torch_is_served_and_traced(fresh: Fresh, tmp_path: Path, way: str) -> None:
    is_wrapped = way == "@monitored"
    imports = "from bento_monitor import MonitoredRunner, monitored" if is_wrapped else ""
    model = "torch.nn.Linear(4, 2).eval()"
    text = SERVICE.format(
        imports=imports,
        decorator="@monitored" if is_wrapped else "",
        model=f"MonitoredRunner({model})" if is_wrapped else model,
    )
    (tmp_path / "service.py").write_text(text)
    program = "bentoml" if is_wrapped else "bento-monitor"
    with fresh.serving(program, "serve", "service:Served", cwd=tmp_path) as url:
        body, kind = b'{"x": [[1, 2, 3, 4]]}', {"content-type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(f"{url}/predict", body, kind), timeout=60) as answer:
            values = json.loads(answer.read())
    assert len(values[0]) == 2
    assert "onnxruntime" not in (tmp_path / "server.log").read_text()
    listed = fresh.run("bento-monitor", "traces", "--json", cwd=tmp_path)
    assert '"POST /predict"' in listed.stdout, listed.stderr


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        (("optimize", "service:Served", "--data", "data.npz", "--metric", "accuracy"), "optimize"),
        (("profile", "service:Served"), "profile"),
    ],
)
def test_a_command_whose_extra_is_missing_says_the_one_command_that_brings_it(
    fresh: Fresh, tmp_path: Path, command: tuple[str, ...], extra: str
) -> None:
    done = fresh.run("bento-monitor", *command, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.endswith(f": pip install 'bento-monitor[{extra}]'\n")
    assert len(done.stderr.splitlines()) == 1


def test_doctor_finds_no_problem(fresh: Fresh, tmp_path: Path) -> None:
    done = fresh.run("bento-monitor", "doctor", "--json", cwd=tmp_path)
    facts = json.loads(done.stdout)
    assert (done.returncode, facts["problems"]) == (0, [])
    assert facts["onnxruntime_providers"] == []
