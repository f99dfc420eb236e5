"""The service of `project/`, served by BentoML with two workers, and releases of it with distinguishable outputs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from waiting import wait_until

from bento_monitor.lab.loadgen import LoadSpec, run_load
from bento_monitor.lab.server.process import ServerProcess, start_server
from bento_monitor.lab.server.server_spec import ServerSpec
from bento_monitor.releases.active_store import ActiveStore
from bento_monitor.releases.release_record import OutputForm, Release, TensorSpec
from bento_monitor.releases.release_store import write_release
from bento_monitor.releases.worker_state import live_workers
from bento_monitor.resilience.atomic_files import sha256_of
from bento_monitor.serving_config import Batching, Execution

COMMAND = str(Path(sys.executable).with_name("bento-monitor"))
PROJECT = Path(__file__).parent / "project"
SERVICE = "Wild"
X = [[1.0, 2.0]]
_FLOATS = {"x": TensorSpec("x", "float32", (None, 2), (4, 2))}


@dataclass
class Place:
    """A folder with the project, its weights, and its own homes."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)
    source: Path = PROJECT
    service: str = SERVICE

    def __post_init__(self) -> None:
        shutil.copytree(self.source, self.project)
        self.env = {
            **os.environ,
            "BENTOML_HOME": str(self.folder),
            "BENTO_MONITOR_HOME": str(self.folder / "home"),
            "BENTO_MONITOR_RELEASE_PROBATION_S": "0.2",
            **self.env,
        }
        self.train(embed=2.0, rerank=3.0)

    @property
    def project(self) -> Path:
        return self.folder / "project"

    @property
    def store(self) -> ActiveStore:
        return ActiveStore(self.folder / "home", self.service)

    def train(self, **weights: float) -> None:
        """Write the weights that the service loads."""
        np.savez(self.project / "weights.npz", **{"embed": 2.0, "rerank": 3.0, **weights})

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COMMAND, "release", *arguments],
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.project,
        )

    def done(self, *arguments: str) -> str:
        """Run a command that must succeed; return its output."""
        found = self.run(*arguments)
        assert found.returncode == 0, found.stdout + found.stderr
        return found.stdout

    def spec(self, workers: int = 2) -> ServerSpec:
        return ServerSpec(
            target=f"service:{self.service}",
            working_dir=self.project,
            env=self.env,
            workers=workers,
            service_name=self.service,
        )

    @contextmanager
    def serve(self, workers: int = 2) -> Iterator[Live]:
        with start_server(self.spec(workers)) as server:
            live = Live(server, self, workers)
            live.wait_until_seen()
            yield live

    def release(
        self, version: str, graph: onnx.ModelProto, runner: str, api: str, fingerprint: str, **fields: Any
    ) -> str:
        """Store a release of `graph`; return its name."""
        name = f"wild-release:{version}"
        built = self.folder / "built.onnx"
        onnx.save(graph, built)
        record = {
            "execution": Execution("onnxruntime", "fp32", 1),
            "batching": None,
            "workers": None,
            "inputs": tuple(_FLOATS.values()),
            "outputs": (TensorSpec("y", "float32", (None, 2), (4, 2)),),
            "output_form": OutputForm(),
            "evidence": {},
            "artifact_file": "model.onnx",
            "artifact_sha256": sha256_of(built),
        }
        release = Release(
            name=name,
            service=self.service,
            apis=(api,),
            runner=runner,
            model_fingerprint=fingerprint,
            **{**record, **fields},
        )
        artifact = built if release.artifact_file is not None else None
        write_release(release, artifact, self.folder / "models" / "wild-release" / version)
        return name

    def scaling(self, version: str, factor: float, live: Live, runner: str = "embed", api: str = "embed") -> str:
        """Store a release that multiplies by a factor that no own model has, which identifies its outputs."""
        batching = Batching(16, 0.0) if api == "embed" else None
        return self.release(version, scale(factor), runner, api, live.fingerprints()[runner], batching=batching)


@dataclass
class Live:
    """A running server."""

    server: ServerProcess
    place: Place
    workers: int

    def wait_until_seen(self) -> None:
        """Wait until every worker has reported its models."""
        wait_until(
            lambda: sum(bool(state.fingerprints) for state in live_workers(self.place.store.folder)) == self.workers
        )

    def fingerprints(self) -> Mapping[str, str]:
        found = [state.fingerprints for state in live_workers(self.place.store.folder)]
        assert all(each == found[0] for each in found)
        return found[0]

    def ask(self, api: str, count: int = 1, **body: Any) -> list[tuple[int, Any]]:
        """Send `count` requests over eight connections, so that every worker gets some; return statuses and outputs."""
        spec = LoadSpec(
            port=self.server.port,
            path=f"/{api}",
            bodies=(json.dumps(body).encode(),),
            mode="closed",
            connections=min(8, count),
            request_count=count,
            keep_every=1,
        )
        result = run_load(spec)
        return [(int(result.status[row]), json.loads(answer)) for row, answer in result.responses.items()]

    def factors(self, api: str = "embed", count: int = 40) -> Counter[float]:
        """Return the factors in the responses to `X`, which identify the models; every status must be 200."""
        answers = self.ask(api, count, x=X)
        assert {status for status, _ in answers} == {200}, answers
        return Counter(round(answer[0][0] / X[0][0], 3) for _, answer in answers)


def scale(factor: float) -> onnx.ModelProto:
    """Return a graph of `(n, 2)` times a factor."""
    node = helper.make_node("Mul", ["x", "factor"], ["y"])
    weight = numpy_helper.from_array(np.array([factor], np.float32), "factor")
    return _model([node], [weight], ("x", TensorProto.FLOAT, ["n", 2]), ("y", TensorProto.FLOAT, ["n", 2]))


def gather() -> onnx.ModelProto:
    """Return a graph of rows of a table by index, with an error past its end."""
    table = numpy_helper.from_array(100 + np.arange(4, dtype=np.float32)[:, None], "table")
    node = helper.make_node("Gather", ["table", "index"], ["y"])
    return _model([node], [table], ("index", TensorProto.INT64, ["n"]), ("y", TensorProto.FLOAT, ["n", 1]))


def of_length_8() -> onnx.ModelProto:
    """Return a graph from `(n, 8, 2)` to sevens `(n, 3)`, which fails on every other shape."""
    ones = numpy_helper.from_array(np.full((16, 3), 0.0, np.float32), "zeros")
    seven = numpy_helper.from_array(np.array([7.0], np.float32), "seven")
    shape = numpy_helper.from_array(np.array([-1, 16], np.int64), "shape")
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "zeros"], ["none"]),
        helper.make_node("Add", ["none", "seven"], ["y"]),
    ]
    return _model(
        nodes, [ones, seven, shape], ("x", TensorProto.FLOAT, ["n", 8, 2]), ("y", TensorProto.FLOAT, ["n", 3])
    )


def _model(nodes: list[Any], weights: list[Any], given: tuple[Any, ...], gives: tuple[Any, ...]) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes, "wild", [helper.make_tensor_value_info(*given)], [helper.make_tensor_value_info(*gives)], weights
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
