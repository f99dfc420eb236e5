"""The wheel in an environment with only a worker's requirements, and a torch of two years ago."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fresh import Fresh, answer_of

ROOT = Path(__file__).parents[2]
MAX_MIB = 200
TORCH = "torch==2.6.0"
LEFT_OUT = ("onnx", "onnxruntime", "onnxscript", "optuna", "scipy")
SERVICE = """
import bentoml
import numpy as np
import torch
{imports}

{decorator}
@bentoml.service
class Served:
    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = {model}

    @bentoml.api(batchable=True)
    def predict(self, x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return self.model(torch.from_numpy(x.astype("float32"))).numpy()
"""


@pytest.fixture(scope="module")
def worker_only(
    wheel: Path, tmp_path_factory: pytest.TempPathFactory, require_uv: None
) -> Iterator[tuple[Fresh, float]]:
    """An environment with the wheel and its requirements, and its size in MiB."""
    made = Fresh.make(tmp_path_factory.mktemp("fresh"))
    made.install(wheel, "-c", ROOT / "constraints.txt")
    yield made, made.site_packages_mib()
    made.remove()


@pytest.fixture(scope="module")
def fresh(worker_only: tuple[Fresh, float]) -> Fresh:
    made, _ = worker_only
    made.install(TORCH)
    return made


def test_environment_is_small(worker_only: tuple[Fresh, float]) -> None:
    _, size_mib = worker_only
    assert size_mib <= MAX_MIB


def test_packages_of_extras_are_not_installed(fresh: Fresh, tmp_path: Path) -> None:
    code = f"from importlib.util import find_spec; print([name for name in {LEFT_OUT} if find_spec(name)])"
    assert fresh.run("python", "-c", code, cwd=tmp_path).stdout == "[]\n"


@pytest.mark.parametrize("way", ["bento-monitor serve", "@monitored"])
def test_torch_service_is_served_and_traced(fresh: Fresh, tmp_path: Path, way: str) -> None:
    is_wrapped = way == "@monitored"
    imports = "from bento_monitor import MonitoredRunner, monitored" if is_wrapped else ""
    model = "torch.nn.Linear(4, 2).eval()"
    text = SERVICE.format(
        imports=imports,
        decorator="@monitored" if is_wrapped else "",
        model=f"MonitoredRunner({model})" if is_wrapped else model,
    )
    (tmp_path / "service.py").write_text(text)
    program = "bentoml" if is_wrapped else "bento-monitor"
    with fresh.serving(program, "serve", "service:Served", cwd=tmp_path) as url:
        values = answer_of(f"{url}/predict", {"x": [[1, 2, 3, 4]]})
    assert len(values[0]) == 2
    assert "onnxruntime" not in (tmp_path / "server.log").read_text()
    listed = fresh.run("bento-monitor", "traces", "--json", cwd=tmp_path)
    assert '"POST /predict"' in listed.stdout, listed.stderr


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        (("optimize", "service:Served", "--data", "data.npz", "--metric", "accuracy"), "optimize"),
        (("profile", "service:Served"), "profile"),
    ],
)
def test_command_without_its_extra_prints_how_to_install_it(
    fresh: Fresh, tmp_path: Path, command: tuple[str, ...], extra: str
) -> None:
    done = fresh.run("bento-monitor", *command, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.endswith(f": pip install 'bento-monitor[{extra}]'\n")
    assert len(done.stderr.splitlines()) == 1


def test_doctor_finds_no_problem(fresh: Fresh, tmp_path: Path) -> None:
    done = fresh.run("bento-monitor", "doctor", "--json", cwd=tmp_path)
    facts = json.loads(done.stdout)
    assert (done.returncode, facts["problems"]) == (0, [])
    assert facts["onnxruntime_providers"] == []
