"""A new Python environment, with commands and servers that run in it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bento_monitor.serving.ports import free_port

UV = Path(sys.executable).with_name("uv")


@dataclass(frozen=True)
class Fresh:
    """An environment that inherits nothing from this one."""

    bin: Path
    env: dict[str, str]

    @classmethod
    def make(cls, folder: Path) -> Fresh:
        """Make an environment without packages in `folder`/venv, with BentoML's home next to it."""
        subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, folder / "venv"], check=True)
        left_out = ("PYTHON", "VIRTUAL_ENV", "BENTO_MONITOR_", "OTEL_")
        env = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
        return cls(folder / "venv" / "bin", {**env, "BENTOML_HOME": str(folder / "bentoml")})

    def install(self, *what: object, cwd: Path | None = None) -> None:
        command = [UV, "pip", "install", "--quiet", "--python", self.bin / "python", *map(str, what)]
        subprocess.run(command, cwd=cwd, check=True)

    def remove(self) -> None:
        """Remove the environment: it has gigabytes, and pytest keeps the folders of tests for a while."""
        shutil.rmtree(self.bin.parent)

    def site_packages_mib(self) -> float:
        (packages,) = self.bin.parent.glob("lib/python*/site-packages")
        return sum(path.lstat().st_size for path in packages.rglob("*")) / 2**20

    def run(self, *command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        program, *arguments = command
        line = [self.bin / program, *arguments]
        return subprocess.run(line, cwd=cwd, env=self.env, capture_output=True, text=True, check=False)

    @contextmanager
    def serving(self, *command: str, cwd: Path) -> Iterator[str]:
        """Start a server with `command`; yield its base URL."""
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


def answer_of(url: str, body: Any) -> Any:
    """Return a service's response to a JSON body."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())
