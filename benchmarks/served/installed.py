"""Stock BentoML as its package installs it: in its own environment, with only BentoML's requirements."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bento_monitor.lab.server.server_spec import ServerSpec

_CONSTRAINTS = Path(__file__).resolve().parent.parent.parent / "constraints.txt"
_PACKAGES = ("bentoml", "numpy")  # numpy is for the workloads


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledSpec(ServerSpec):
    """A server that runs with another Python than this process."""

    python: Path

    def command(self, port: int) -> list[str]:
        return [str(self.python), *ServerSpec.command(self, port)[1:]]  # no super(): the class has slots


def cache_folder() -> Path:
    """Return the folder of the environments, in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bento-monitor"


def made_environment(folder: Path, constraints: Path, *packages: str) -> Path:
    """Return the Python of an environment with these packages, in the versions of a constraints.txt; made once."""
    python, is_whole = folder / "bin" / "python", folder / ".installed"
    if not is_whole.exists():
        print(f"Installing {' '.join(packages)} into {folder}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        uv = str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
        install = [uv, "pip", "install", "--quiet", "--python", str(python), "-c", str(constraints), *packages]
        subprocess.run(install, check=True)
        is_whole.touch()
    return python


def python_as_installed() -> Path:
    """Return the Python of stock's environment, which is made once per constraints.txt."""
    version = hashlib.sha256(_CONSTRAINTS.read_bytes() + sys.version.encode()).hexdigest()[:12]
    return made_environment(cache_folder() / f"stock-as-installed-{version}", _CONSTRAINTS, *_PACKAGES)
