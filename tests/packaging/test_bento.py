"""A Bento with the wheel: built, installed like its image, served, and given a promoted release."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from fresh import Fresh, answer_of
from left_out import run_study

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent
# The project has its own folder `optimizers`, next to the installed one of the wheel.
SOURCE = ROOT / "tests" / "integration" / "project"
BENTOFILE = """
service: service:Loans
python:
  lock_packages: false
  packages:
    - bento-monitor[onnx] @ ./{wheel}
    - torch
"""
OPTIMIZE = (
    *("--data", "eval.npz", "--metric", "accuracy", "--max-drop", "0.2", "--api", "score"),
    *("--connections", "4", "--trials", "1", "--blocks", "5", "--block-seconds", "0.5"),
)
ROW = [0.5, -1.0, 2.0, 0.25]


@dataclass(frozen=True)
class Project:
    folder: Path
    env: dict[str, str]

    def run(self, program: str, *arguments: str) -> str:
        """Return the output of a program of the tests' environment, which has all extras."""
        command = [PROGRAMS / program, *arguments]
        done = run_study(
            lambda: subprocess.run(command, cwd=self.folder, env=self.env, capture_output=True, text=True, check=False)
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def project(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    home = tmp_path_factory.mktemp("bento")
    folder = home / "project"
    shutil.copytree(SOURCE, folder)
    shutil.copy(wheel, folder)
    (folder / "bentofile.yaml").write_text(BENTOFILE.format(wheel=wheel.name))
    generator = np.random.default_rng(3)
    features = generator.normal(size=(256, 4)).astype(np.float32)
    np.savez(folder / "eval.npz", features=features, labels=generator.integers(0, 3, 256))
    # A container of the Bento would get this as a volume.
    homes = {"BENTOML_HOME": str(home / "bentoml"), "BENTO_MONITOR_HOME": str(home / "monitor")}
    return Project(folder, {**os.environ, **homes, "BENTO_MONITOR_RELEASE_PROBATION_S": "1"})


@pytest.fixture(scope="module")
def bento(project: Project) -> Path:
    project.run("bentoml", "build")
    return Path(project.run("bentoml", "get", "loans:latest", "-o", "path").strip())


@pytest.fixture(scope="module")
def image(bento: Path, project: Project, require_uv: None) -> Iterator[Fresh]:
    made = Fresh.make(bento.parent)
    # The command of the image's Dockerfile, with the tested versions.
    made.install("-r", bento / "env/python/requirements.txt", "-c", ROOT / "constraints.txt", cwd=bento / "src")
    homes = {name: value for name, value in project.env.items() if name.startswith(("BENTOML_", "BENTO_MONITOR_"))}
    yield replace(made, env=made.env | homes)
    made.remove()


def test_release_found_in_the_source_is_promoted_in_the_bento(
    project: Project, bento: Path, image: Fresh, tmp_path: Path
) -> None:
    found = json.loads(project.run("bento-monitor", "optimize", "service:Loans", *OPTIMIZE, "--json"))
    with image.serving("bentoml", "serve", str(bento), cwd=tmp_path) as url:
        own = answer_of(f"{url}/score", {"features": [ROW]})
        promoted = image.run("bento-monitor", "release", "promote", found["release"], "--json", cwd=tmp_path)
        assert promoted.returncode == 0, promoted.stderr
        of_release = answer_of(f"{url}/score", {"features": [ROW]})
    serves = [worker["serves"] for worker in json.loads(promoted.stdout)["workers"]]
    assert serves == [{"model": found["release"]}]
    np.testing.assert_allclose(of_release, own, atol=0.2)
    listed = image.run("bento-monitor", "traces", "--json", cwd=tmp_path)
    assert '"POST /score"' in listed.stdout, listed.stderr
