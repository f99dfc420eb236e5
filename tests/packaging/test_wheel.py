"""The wheel, built and installed outside the checkout: its contents and its commands."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUN_MAIN = "import sys; from bento_monitor.cli import main; sys.argv[0] = 'bento-monitor'; main()"


def run(command: list[str | Path], *, cwd: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with only the wheel; its dependencies come from the tests' environment."""
    target = tmp_path_factory.mktemp("target")
    run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", target, wheel], cwd=target)
    return target


@pytest.fixture
def away(installed: Path, tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """Another folder, and environment variables that put the installed wheel before the checkout."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return tmp_path, {**environment, "PYTHONPATH": str(installed)}


def test_wheel_has_only_the_two_packages(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
    assert tops == {"bento_monitor", "optimizers", "bento_monitor-0.1.0.dist-info"}


def test_wheel_has_every_source_file_and_both_type_markers(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    sources = {
        str(path.relative_to(ROOT))
        for folder in ("bento_monitor", "optimizers")
        for path in (ROOT / folder).rglob("*.py")
    }
    assert sources <= names
    assert {"bento_monitor/py.typed", "optimizers/py.typed"} <= names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_installation_adds_only_the_two_packages(installed: Path) -> None:
    found = {path.name for path in installed.iterdir()}
    assert found == {"bento_monitor", "optimizers", "bento_monitor-0.1.0.dist-info", "bin"}
    assert [path.name for path in (installed / "bin").iterdir()] == ["bento-monitor"]


def test_entry_points_are_those_that_bentoml_and_bento_monitor_load(installed: Path) -> None:
    parser = configparser.ConfigParser()
    parser.read(installed / "bento_monitor-0.1.0.dist-info" / "entry_points.txt")
    assert dict(parser["console_scripts"]) == {"bento-monitor": "bento_monitor.cli:main"}
    assert set(parser["bentoml.commands"]) == {"monitor", "optimize"}
    assert set(parser["bento_monitor.commands"]) == {"doctor", "optimize", "profile", "release", "serve", "traces"}


def test_both_packages_are_imported_from_the_installed_wheel(
    installed: Path, away: tuple[Path, dict[str, str]]
) -> None:
    cwd, environment = away
    code = "import bento_monitor, optimizers; print(bento_monitor.__file__); print(optimizers.__file__)"
    shown = run([sys.executable, "-c", code], cwd=cwd, env=environment).stdout.splitlines()
    assert [Path(line).parents[1] for line in shown] == [installed, installed]


@pytest.mark.parametrize("command", ["doctor", "optimize", "profile", "release", "serve", "traces"])
def test_each_command_shows_its_help_from_another_folder(command: str, away: tuple[Path, dict[str, str]]) -> None:
    cwd, environment = away
    shown = run([sys.executable, "-c", RUN_MAIN, command, "--help"], cwd=cwd, env=environment).stdout
    assert shown.startswith(f"Usage: bento-monitor {command}")


def test_console_script_runs_from_another_folder(installed: Path, away: tuple[Path, dict[str, str]]) -> None:
    cwd, environment = away
    shown = run([installed / "bin" / "bento-monitor", "--help"], cwd=cwd, env=environment).stdout
    assert "optimize" in shown
    assert run([installed / "bin" / "bento-monitor", "--version"], cwd=cwd, env=environment).stdout.endswith("0.1.0\n")
