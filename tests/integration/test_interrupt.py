"""Ctrl-C and kill: a stopped command leaves nothing running, and its stored files are complete."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from waiting import wait_until

from bento_monitor.serving.ports import free_port

COMMAND = str(Path(sys.executable).with_name("bento-monitor"))
PROJECT = Path(__file__).parent / "project"
DEMO = Path(__file__).resolve().parents[2] / "examples" / "common" / "demo.py"


def processes_with(name: str, value: str) -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter(["environ"])
        if process.pid != os.getpid() and (process.info["environ"] or {}).get(name, "").startswith(value)
    ]


def is_serving(folder: Path) -> bool:
    try:
        return any(folder.rglob("services/*/workers/*.json"))
    except FileNotFoundError:  # temporary folders come and go
        return False


@pytest.fixture
def study(tmp_path: Path) -> tuple[list[str], Path, dict[str, str]]:
    project = tmp_path / "project"
    shutil.copytree(PROJECT, project)
    generator = np.random.default_rng(3)
    features = generator.normal(size=(64, 4)).astype(np.float32)
    np.savez(project / "eval.npz", features=features, labels=generator.integers(0, 3, 64))
    homes = {"BENTOML_HOME": str(tmp_path / "bentoml"), "BENTO_MONITOR_HOME": str(tmp_path / "monitor")}
    command = [COMMAND, "optimize", "service:Loans", "--api", "score", "--data", "eval.npz", "--metric", "accuracy"]
    command += ["--max-drop", "0.5", "--connections", "4", "--trials", "50", "--study-dir", str(tmp_path / "study")]
    return command, project, {**os.environ, **homes, "INTERRUPT_TEST": str(tmp_path)}


@pytest.mark.parametrize(("stop", "exit_code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_stopped_study_leaves_no_process(
    study: tuple[list[str], Path, dict[str, str]], tmp_path: Path, stop: signal.Signals, exit_code: int
) -> None:
    command, project, environment = study
    with subprocess.Popen(
        command, cwd=project, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        wait_until(lambda: is_serving(tmp_path / "study") or process.poll() is not None, 120)
        process.send_signal(stop)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == exit_code, errors
    assert "Traceback" not in errors
    wait_until(lambda: not processes_with("INTERRUPT_TEST", str(tmp_path)), 30)
    assert not list(tmp_path.rglob("*.tmp"))


def test_interrupted_demo_leaves_no_process(tmp_path: Path) -> None:
    environment = {**os.environ, "INTERRUPT_TEST": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, str(DEMO)], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        wait_until(lambda: is_serving(tmp_path) or process.poll() is not None, 120)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    wait_until(lambda: not processes_with("INTERRUPT_TEST", str(tmp_path)), 30)
    assert not (tmp_path / "demo-report.json").exists()


def test_port_in_use_is_reported_before_anything_is_served() -> None:
    import socket

    with socket.socket() as taken:
        port = free_port()
        taken.bind(("127.0.0.1", port))
        taken.listen()
        done = subprocess.run(
            [COMMAND, "serve", "service:Loans", "--host", "127.0.0.1", "--port", str(port)],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert f"127.0.0.1:{port} cannot be listened on" in done.stderr
    assert "Traceback" not in done.stderr
