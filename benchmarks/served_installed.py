"""Stock BentoML as its package installs it: an environment of its own, with what BentoML requires and no more."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bento_monitor.serving.spec import ServerSpec

_CONSTRAINTS = Path(__file__).resolve().parent.parent / "constraints.txt"
_PACKAGES = ("bentoml", "numpy")  # numpy is the workloads'


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledSpec(ServerSpec):
    """A server that another Python than this process's serves."""

    python: Path

    def command(self, port: int) -> list[str]:
        return [str(self.python), *ServerSpec.command(self, port)[1:]]  # no super(): the class has slots


def python_as_installed() -> Path:
    """The Python of that environment, which is made once for each constraints.txt and kept in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    version = hashlib.sha256(_CONSTRAINTS.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = cache / "bento-monitor" / f"stock-as-installed-{version}"
    python, is_whole = folder / "bin" / "python", folder / ".installed"
    if not is_whole.exists():
        print(f"Installing BentoML by itself into {folder}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        uv = str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
        install = [uv, "pip", "install", "--quiet", "--python", str(python), "-c", str(_CONSTRAINTS), *_PACKAGES]
        subprocess.run(install, check=True)
        is_whole.touch()
    return python
