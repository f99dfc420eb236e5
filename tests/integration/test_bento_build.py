"""`bentoml build` of a monitored service: a warning if its image would lack bento-monitor."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SERVICE = """
import bentoml
from bento_monitor import monitored
{before}

@monitored
@bentoml.service({arguments})
class Built:
    @bentoml.api
    def echo(self, x: int) -> int:
        return x
"""
BENTOFILE = "service: service:Built\npython:\n  lock_packages: false\n"
IMAGE = "image = bentoml.images.Image(lock_python_packages=False).python_packages({!r})"
WARNING = "Warning: the Bento of Built does not list bento-monitor"


def build(folder: Path, files: dict[str, str], *arguments: str) -> str:
    """Build, which must succeed, and return what it prints on stderr."""
    for name, text in files.items():
        (folder / name).write_text(text)
    command = [Path(sys.executable).with_name("bentoml"), "build", *arguments]
    env = {**os.environ, "BENTOML_HOME": str(folder / "home")}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Successfully built Bento" in done.stdout
    return done.stderr


PLAIN = SERVICE.format(before="", arguments="")


@pytest.mark.parametrize(
    "files",
    [
        {"service.py": PLAIN, "bentofile.yaml": f"{BENTOFILE}  packages:\n    - torch\n"},
        {
            "service.py": SERVICE.format(before=IMAGE.format("torch"), arguments="image=image"),
            "bentofile.yaml": BENTOFILE,
        },
    ],
    ids=["bentofile.yaml", "image"],
)
def test_bento_without_bento_monitor_gets_a_warning(tmp_path: Path, files: dict[str, str]) -> None:
    assert build(tmp_path, files).count(WARNING) == 1


@pytest.mark.parametrize(
    "files",
    [
        {"service.py": PLAIN, "bentofile.yaml": f"{BENTOFILE}  packages:\n    - bento-monitor[onnx]\n"},
        {
            "service.py": PLAIN,
            "bentofile.yaml": f"{BENTOFILE}  requirements_txt: ./needed.txt\n",
            "needed.txt": "torch\nbento_monitor>=0.1\n",
        },
        {
            "service.py": SERVICE.format(before=IMAGE.format("bento-monitor"), arguments="image=image"),
            "bentofile.yaml": BENTOFILE,
        },
    ],
    ids=["bentofile.yaml", "requirements", "image"],
)
def test_bento_with_bento_monitor_gets_no_warning(tmp_path: Path, files: dict[str, str]) -> None:
    assert WARNING not in build(tmp_path, files)
