"""A study of an API that passes data frames, lists or flags to an estimator, and of one that calls two runners."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bento_monitor.errors import ServiceError
from bento_monitor.lab.loadgen.packing import write_bodies
from bento_monitor.lab.model_host.answer_values import read_answers
from bento_monitor.lab.model_host.client import ModelHost
from bento_monitor.lab.model_host.messages import Contender, RequestSource
from bento_monitor.resilience.atomic_files import sha256_of
from bento_monitor.serving_config import Execution

SERVICE = """
import time
import bentoml
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from bento_monitor.runner import MonitoredRunner

NAMES = ["age", "height", "weight"]
FRAME = pd.DataFrame(np.random.default_rng(0).normal(size=(200, 3)), columns=NAMES)
LABELS = (FRAME.age > FRAME.height).astype(int)

LOANS = FRAME.assign(job=np.where(FRAME.weight > 0, "cook", "clerk"))
COLUMNS = ColumnTransformer([("age", StandardScaler(), ["age"]), ("job", OneHotEncoder(), ["job"])])

@bentoml.service
class Scores:
    def __init__(self):
        self.loans = MonitoredRunner(make_pipeline(COLUMNS, LogisticRegression()).fit(LOANS, LABELS), name="loans")
        self.model = MonitoredRunner(LogisticRegression().fit(FRAME, LABELS), name="scores")
        self.plain = MonitoredRunner(LogisticRegression().fit(FRAME.to_numpy(), LABELS), name="plain")
        self.learning = MonitoredRunner(SGDClassifier().fit(FRAME.to_numpy(), LABELS), name="learning")

    @bentoml.api(batchable=True)
    def frame(self, x: np.ndarray) -> np.ndarray:
        return self.model.predict_proba(pd.DataFrame(x.astype(float), columns=NAMES))

    @bentoml.api(batchable=True)
    def columns(self, x: np.ndarray) -> np.ndarray:
        frame = pd.DataFrame(x.astype(float), columns=NAMES)
        return self.loans.predict_proba(frame.assign(job=["cook" if w > 0 else "clerk" for w in frame.weight]))

    @bentoml.api
    def lists(self, x: list[list[float]]) -> list[float]:
        return self.plain.predict_proba(x)[:, 1].tolist()

    @bentoml.api(batchable=True)
    def both(self, x: np.ndarray) -> np.ndarray:
        first = self.plain.predict(x.astype(float))
        for _ in range(20):
            second = self.model.predict_proba(pd.DataFrame(x.astype(float), columns=NAMES))
        return first + second[:, 1]

    @bentoml.api(batchable=True)
    def learn(self, x: np.ndarray) -> np.ndarray:
        self.learning.partial_fit(x.astype(float), np.ones(len(x)))
        return self.learning.predict(x.astype(float))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "service.py").write_text(SERVICE)
    rows = np.random.default_rng(1).normal(size=(40, 3)).round(3)
    write_bodies(folder / "rows.npz", [json.dumps({"x": [row]}).encode() for row in rows.tolist()])
    return folder


@pytest.fixture(scope="module")
def host(project: Path) -> Iterator[ModelHost]:
    with ModelHost("service:Scores", project) as running:
        yield running


@pytest.mark.parametrize(("api", "columns"), [("frame", 3), ("lists", 3), ("columns", 4)])
def test_frames_and_lists_get_a_release_with_equal_outputs(
    api: str, columns: int, host: ModelHost, project: Path, tmp_path: Path
) -> None:
    source, graph = RequestSource(project / "rows.npz"), tmp_path / "model.onnx"
    interface = host.capture(api, source)
    assert [(spec.name, spec.dtype, spec.shape[1]) for spec in interface.inputs] == [("X", "float64", columns)]
    assert interface.note == ""
    host.export(graph)
    assert host.parity(graph).disagreement is None

    def answers(contender: Contender, name: str) -> np.ndarray:
        host.answers(api, source, contender, tmp_path / name, batch_size=8, seed=0)
        return read_answers(tmp_path / name)

    released = Contender(Execution("onnxruntime", "fp32", 1), graph, sha256_of(graph))
    np.testing.assert_allclose(answers(released, "released"), answers(Contender(), "own"), rtol=1e-4)


def test_note_names_the_optimized_runner_of_two(host: ModelHost, project: Path) -> None:
    interface = host.capture("both", RequestSource(project / "rows.npz"))
    assert interface.runner == "scores"
    assert interface.note.startswith("the runner scores is optimized: it takes 9")
    assert interface.note.endswith("unchanged: plain")


def test_estimator_that_learns_in_calls_is_refused_at_once(host: ModelHost, project: Path) -> None:
    with pytest.raises(ServiceError, match="change when it is called"):
        host.capture("learn", RequestSource(project / "rows.npz"))
