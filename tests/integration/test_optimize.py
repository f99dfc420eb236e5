"""The optimizer on a small project, as a user runs it: from the command line to a live promotion."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from left_out import run_study

from bento_monitor.lab.loadgen import LoadSpec, run_load, start_load
from bento_monitor.lab.server.process import start_server
from bento_monitor.lab.server.server_spec import ServerSpec

COMMAND = str(Path(sys.executable).with_name("bento-monitor"))
PROJECT = Path(__file__).parent / "project"
QUICK = ["--connections", "4", "--trials", "1", "--blocks", "5", "--block-seconds", "0.5"]


@dataclass(frozen=True)
class Workspace:
    folder: Path
    environment: dict[str, str]

    @property
    def project(self) -> Path:
        return self.folder / "project"

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COMMAND, *arguments], cwd=self.project, env=self.environment, capture_output=True, text=True, check=False
        )

    def optimize_command(self) -> list[str]:
        options = ["--data", "eval.npz", "--metric", "accuracy", "--max-drop", "0.2", "--api", "score"]
        return [COMMAND, "optimize", "service:Loans", *options, *QUICK, "--study-dir", str(self.folder), "--json"]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("optimize")
    shutil.copytree(PROJECT, folder / "project")
    generator = np.random.default_rng(3)
    features = generator.normal(size=(256, 4)).astype(np.float32)
    np.savez(folder / "project" / "eval.npz", features=features, labels=generator.integers(0, 3, 256))
    homes = {"BENTOML_HOME": str(folder / "bentoml"), "BENTO_MONITOR_HOME": str(folder / "monitor")}
    return Workspace(folder, {**os.environ, **homes, "BENTO_MONITOR_RELEASE_PROBATION_S": "1"})


@pytest.fixture(scope="module")
def found(workspace: Workspace) -> dict[str, Any]:
    """The result of a study that was killed after its first stage, and then run again."""
    with subprocess.Popen(
        workspace.optimize_command(),
        cwd=workspace.project,
        env=workspace.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as first:
        deadline_s = time.monotonic() + 120
        while not list(workspace.folder.glob("studies/*/screen.json")):
            assert first.poll() is None, "the study ended before its first stage was done"
            assert time.monotonic() < deadline_s, "the first stage took over two minutes"
            time.sleep(0.02)
        first.send_signal(signal.SIGKILL)
    (screen,) = workspace.folder.glob("studies/*/screen.json")
    written = screen.stat().st_mtime_ns
    done = run_study(lambda: workspace.run(*workspace.optimize_command()[1:]))
    assert done.returncode == 0, done.stderr
    assert screen.stat().st_mtime_ns == written, "a finished stage was computed again"
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_killed_study_resumes_and_stores_its_winner_as_a_release(workspace: Workspace, found: dict[str, Any]) -> None:
    assert found["speedup_ci95"][0] > 1
    assert found["accuracy_drop_upper95"] <= found["accuracy_tolerance"]
    listed = json.loads(workspace.run("release", "list", "--json").stdout)
    assert [release["name"] for release in listed] == [found["release"]]
    assert listed[0]["service"] == "Loans"
    assert not listed[0]["is_active"]


def test_finished_study_is_not_measured_again(workspace: Workspace, found: dict[str, Any]) -> None:
    again = subprocess.run(
        workspace.optimize_command(),
        cwd=workspace.project,
        env=workspace.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(again.stdout) == found


def test_result_is_printed_as_a_table(workspace: Workspace, found: dict[str, Any]) -> None:
    command = [word for word in workspace.optimize_command() if word != "--json"]
    shown = workspace.run(*command[1:])
    assert (shown.returncode, shown.stderr) == (0, "")
    for said in (f"Release: {found['release']}", f"{found['speedup']:.2f} times", "at half of the load, p99"):
        assert said in shown.stdout


def test_no_process_of_a_study_remains_after_it(workspace: Workspace, found: dict[str, Any]) -> None:
    assert found
    left = [
        process.info["cmdline"]
        for process in psutil.process_iter(["cmdline", "environ"])
        if (process.info["environ"] or {}).get("BENTO_MONITOR_HOME", "").startswith(str(workspace.folder))
        and process.pid != os.getpid()
    ]
    assert left == []


def test_live_server_promotes_and_rolls_back_under_load(workspace: Workspace, found: dict[str, Any]) -> None:
    name = found["release"]
    spec = ServerSpec(
        target="service:Loans",
        working_dir=workspace.project,
        env=workspace.environment,
        workers=2,
        service_name="Loans",
    )
    with start_server(spec) as server:
        refused = workspace.run("release", "promote", name)
        assert refused.returncode == 2
        assert "--workers 1" in refused.stderr
    with start_server(
        ServerSpec(target="service:Loans", working_dir=workspace.project, env=workspace.environment)
    ) as server:
        body = json.dumps({"features": [[0.1, -0.2, 0.3, 0.4]]}).encode()
        load = LoadSpec(
            port=server.port, path="/score", bodies=(body,), mode="open", rate_rps=50, arrivals="constant", keep_every=1
        )
        with start_load(load) as running:
            promoted = json.loads(workspace.run("release", "promote", name, "--json").stdout)
            time.sleep(0.5)
            result = running.stop()
        assert (result.status == 200).all()
        assert len(result.status) > 20
        assert [worker["serves"] for worker in promoted["workers"]] == [{"model": name}]
        answers = np.array([json.loads(answer)[0] for answer in result.responses.values()])
        assert np.abs(answers - answers[0]).max() < 0.2
        status = json.loads(workspace.run("release", "status", "Loans", "--json").stdout)
        assert status["active"]["releases"] == {"model": name}
        back = json.loads(workspace.run("release", "rollback", "Loans", "--json").stdout)
        assert [worker["serves"] for worker in back["workers"]] == [{"model": None}]
        one = LoadSpec(port=server.port, path="/score", bodies=(body,), mode="closed", connections=1, request_count=3)
        assert (run_load(one).status == 200).all()


BAD_INPUT = {
    "no such module": (["nowhere:Loans", "--data", "eval.npz", "--metric", "accuracy"], "cannot be imported"),
    "no runner": (["service:NoRunner", "--data", "eval.npz", "--metric", "accuracy"], "MonitoredRunner"),
    "several apis": (["service:Loans", "--data", "eval.npz", "--metric", "accuracy"], "--api"),
    "no such api": (
        ["service:Loans", "--data", "eval.npz", "--metric", "accuracy", "--api", "other"],
        "has no API 'other'",
    ),
    "no such metric": (["service:Loans", "--data", "eval.npz", "--metric", "beauty"], "There is no metric 'beauty'"),
    "no such file": (["service:Loans", "--data", "gone.npz", "--metric", "accuracy"], "gone.npz does not exist"),
    "a pickle": (["service:Loans", "--data", "pickled.npz", "--metric", "accuracy"], "never loaded"),
    "a NaN": (["service:Loans", "--data", "nan.npz", "--metric", "accuracy", "--api", "score"], "NaN"),
    "no slo": (["service:Loans", "--data", "eval.npz", "--metric", "accuracy", "--slo", "fast"], "p99=50ms"),
    "too much asked of the baseline": (
        ["service:Loans", "--data", "eval.npz", "--metric", "accuracy", "--api", "score", "--min-accuracy", "0.999"],
        "The baseline itself reaches",
    ),
}


@pytest.fixture(scope="module")
def bad_data(workspace: Workspace) -> Workspace:
    project = workspace.project
    labels = np.zeros(4, dtype=np.int64)
    np.savez(project / "pickled.npz", features=np.array([{}, {}, {}, {}], dtype=object), labels=labels)
    np.savez(project / "nan.npz", features=np.full((4, 4), np.nan), labels=labels)
    return workspace


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_gives_one_sentence_and_exit_code_2(bad_data: Workspace, case: str) -> None:
    arguments, sentence = BAD_INPUT[case]
    done = bad_data.run("optimize", *arguments, "--study-dir", str(bad_data.folder / "bad"))
    error = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert done.returncode == 2, done.stderr
    assert len(error) == 1
    assert sentence in error[0]
    assert "Traceback" not in done.stderr


def test_service_that_cannot_be_imported_is_not_served(workspace: Workspace) -> None:
    done = workspace.run("serve", "nowhere:Loans", "--port", "3999")
    assert done.returncode == 2
    assert "cannot be imported" in done.stderr
    assert "Traceback" not in done.stderr
