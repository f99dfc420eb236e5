"""Invalid option values are refused before any work starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from bento_monitor.cli import main

COMMAND = ("optimize", "nowhere:Service", "--data", "nothing.npz", "--metric", "accuracy")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--block-seconds", "nan"),
        ("--block-seconds", "inf"),
        ("--min-accuracy", "nan"),
        ("--seed", "-1"),
        ("--workers", "0"),
        ("--connections", "0"),
        ("--max-drop", "nan"),
        ("--slo", "fast"),
    ],
)
def test_invalid_option_value_is_one_error_line_and_exit_code_2(option: str, value: str) -> None:
    done = CliRunner().invoke(main, [*COMMAND, option, value])
    assert done.exit_code == 2
    assert len([line for line in done.stderr.splitlines() if line.startswith("Error: ")]) == 1
    assert "nothing.npz" not in done.stderr


@pytest.mark.parametrize(
    ("given", "missing"),
    [((), "--data and --metric"), (("--data", "x.npz"), "--metric"), (("--metric", "accuracy"), "--data")],
)
def test_missing_data_or_metric_is_a_usage_error(given: tuple[str, ...], missing: str) -> None:
    done = CliRunner().invoke(main, ["optimize", "nowhere:Service", *given])
    assert done.exit_code == 2
    assert f"Missing {missing}: give your data and the metric to keep." in done.stderr


def test_space_file_is_checked_before_anything_else(tmp_path: Path) -> None:
    (tmp_path / "space.toml").write_text("thread = 1\n")
    done = CliRunner().invoke(main, [*COMMAND, "--space", str(tmp_path / "space.toml")])
    assert done.exit_code == 2
    assert "a knob thread, which does not exist" in done.stderr


SERVICE = """
import bentoml, numpy as np, torch
from bento_monitor import MonitoredRunner

@bentoml.service
class Layers:
    def __init__(self):
        self.first = MonitoredRunner(torch.nn.Linear(4, 4).eval(), name="first")
        self.images = MonitoredRunner(torch.nn.Conv2d(1, 4, 3).eval(), name="images")

    @bentoml.api(batchable=True, max_batch_size=8)
    def run(self, x: np.ndarray) -> np.ndarray:
        return self.first(torch.from_numpy(x)).numpy()
"""


def test_space_of_a_service_is_listed_without_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "layers.py").write_text(SERVICE)
    (tmp_path / "space.toml").write_text('precision = "*fp32*"\nthreads = [1, 3]\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    whole = CliRunner().invoke(main, ["optimize", "--list-space", "layers:Layers"])
    assert whole.exit_code == 0, whole.output
    of_first, of_images = whole.output.split("layers:Layers, API run, runner ")[1:]
    assert "int8-dynamic-per-channel " in of_first
    assert "not tried: torch channels-last: the model has no two-dimensional convolution" in of_first
    assert "fp32-channels-last" in of_images
    assert "not tried: onnxruntime int8-dynamic: the graph has no MatMul" in of_images
    assert "max_batch_size │ 4, 8" in of_images
    assert "cuda_graphs    │ false (only a model on a GPU" in of_images
    narrowed = CliRunner().invoke(
        main, ["optimize", "--list-space", "layers:Layers", "--space", "space.toml", "--runner", "images"]
    )
    assert "│ 1, 3 " in narrowed.output
    assert "int8-static-all-minmax-100: left out by --space" in narrowed.output
    assert "runner first" not in narrowed.output
    wrong = CliRunner().invoke(main, ["optimize", "--list-space", "layers:Layers", "--runner", "last"])
    assert (wrong.exit_code, "it has: first, images" in wrong.output) == (2, True)
