"""A faster release must slow down neither a lone client nor the slowest requests at half of the load.

Seen before: a release that was 1.74 times faster made a lone client's median 8.6 ms instead of 5.4, by a window that
had lost its trials and won two short finals.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from left_out import run_study

COMMAND = str(Path(sys.executable).with_name("bento-monitor"))
PROJECT = Path(__file__).parents[1] / "integration" / "project"
OPTIONS = ["--data", "eval.npz", "--metric", "accuracy", "--max-drop", "0.2", "--api", "score"]
QUICK = ["--connections", "4", "--trials", "1", "--blocks", "5", "--block-seconds", "0.5"]
# Four clients fill its batches at once; a lone one waits for three others, who never come.
WAITS = {"max_batch_size": 4, "window_ms": 60.0}


class Study:
    """A study with a winner chosen by the test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._project = folder / "project"
        shutil.copytree(PROJECT, self._project)
        generator = np.random.default_rng(3)
        features = generator.normal(size=(256, 4)).astype(np.float32)
        np.savez(self._project / "eval.npz", features=features, labels=generator.integers(0, 3, 256))
        homes = {"BENTOML_HOME": str(folder / "bentoml"), "BENTO_MONITOR_HOME": str(folder / "monitor")}
        self._environment = {**os.environ, **homes}
        self._command = [COMMAND, "optimize", "service:Loans", *OPTIONS, *QUICK, "--study-dir", str(folder), "--json"]

    def run(self, *more: str) -> subprocess.CompletedProcess[str]:
        return run_study(
            lambda: subprocess.run(
                [*self._command, *more],
                cwd=self._project,
                env=self._environment,
                capture_output=True,
                text=True,
                check=False,
            )
        )

    def search(self) -> list[dict[str, Any]]:
        """Start a study, kill it once it has its finalists, and return them."""
        with subprocess.Popen(
            self._command,
            cwd=self._project,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as study:
            deadline_s = time.monotonic() + 180
            while not self._file("search.json"):
                assert study.poll() is None, "the study ended before its search was done"
                assert time.monotonic() < deadline_s, "the search took over three minutes"
                time.sleep(0.02)
            study.send_signal(signal.SIGKILL)
        finalists: list[dict[str, Any]] = json.loads(self._file("search.json")[0].read_text())
        return finalists

    def choose(self, winner: dict[str, Any]) -> None:
        """Make `winner` the only finalist, whether or not it may be slower alone."""
        found = self._file("search.json")[0]
        for name in ("search.json", "search-slower-alone.json"):
            found.with_name(name).write_text(json.dumps([winner]))

    def _file(self, name: str) -> list[Path]:
        return list(self._folder.glob(f"studies/*/{name}"))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    study = Study(tmp_path_factory.mktemp("harm"))
    study.choose(study.search()[0] | {"batching": WAITS})
    return study


def test_window_that_delays_a_lone_client_is_not_released(study: Study) -> None:
    done = study.run()
    (error,) = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert done.returncode != 0
    assert "A lone client's median latency is longer" in error
    assert "--allow-slower-alone" in error


def test_allowed_slower_release_has_its_cost_in_the_evidence(study: Study) -> None:
    done = study.run("--allow-slower-alone")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    low, high = found["alone_p50_ratio_ci95"]
    assert 1.1 < low <= found["alone_p50_ratio"] <= high
    assert found["optimized_alone_p50_ms"] > 60 > found["baseline_alone_p50_ms"] > 20
    assert set(found["alone_p50_ms_blocks"]) == set(found["half_load_p99_ms_blocks"]) == {"baseline", "winner"}
    assert len(found["alone_p50_ms_blocks"]["winner"]) == found["harm_blocks"] == 5
    assert found["half_load_p99_ratio_ci95"][0] <= found["half_load_p99_ratio"] <= found["half_load_p99_ratio_ci95"][1]
    assert found["half_load_rps"] < found["baseline_rps"]
