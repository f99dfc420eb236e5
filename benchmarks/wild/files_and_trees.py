"""ONNX files given directly, and estimators; `before` writes the files into the folder that `WILD_FOLDER` names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import bentoml
import models
import numpy as np
import onnx
import pandas as pd
import pydantic
import torch
from situation import Situation, features, noisy, save, save_lines
from tabular import classified

from bento_monitor import MonitoredRunner, monitored

JOBS = ("clerk", "pilot", "nurse", "cook")
PURPOSES = ("car", "house", "studies")


def _folder() -> Path:
    return Path(os.environ["WILD_FOLDER"])


class OnnxService:
    """The common part of services with ONNX files: rows of numbers in, scores out."""

    file = ""

    def __init__(self) -> None:
        self.model = MonitoredRunner(_folder() / self.file)

    def scores(self, x: np.ndarray) -> Any:
        """Return the file's outputs for some rows."""
        return self.model(np.asarray(x, dtype=np.float32))


@monitored
@bentoml.service
class OnnxDirect(OnnxService):
    file = "direct.onnx"

    @bentoml.api(batchable=True)
    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.scores(x)


@monitored
@bentoml.service
class OnnxExternal(OnnxService):
    file = "external.onnx"

    @bentoml.api(batchable=True)
    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.scores(x)


@monitored
@bentoml.service
class OnnxFixed(OnnxService):
    file = "fixed.onnx"

    @bentoml.api
    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.scores(x)


@monitored
@bentoml.service
class OnnxTwo(OnnxService):
    file = "two.onnx"

    @bentoml.api(batchable=True)
    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.scores(x)[1]


def _export(folder: Path, name: str, *, outputs: tuple[str, ...] = ("scores",), is_fixed: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    model = models.AsDict().eval() if len(outputs) == 2 else models.Wide().eval()
    axes = {} if is_fixed else {name: {0: "batch"} for name in ("x", *outputs)}
    torch.onnx.export(
        model,
        (torch.zeros(1, 64),),
        str(folder / name),
        dynamo=False,
        opset_version=17,
        input_names=["x"],
        output_names=list(outputs),
        dynamic_axes=axes,
    )
    return folder / name


def _write_direct(folder: Path) -> None:
    _export(folder, "direct.onnx")


def _write_external(folder: Path) -> None:
    model = onnx.load(_export(folder, "external.onnx"))
    onnx.save(model, folder / "external.onnx", save_as_external_data=True, location="external.bin", size_threshold=1024)


def _write_fixed(folder: Path) -> None:
    _export(folder, "fixed.onnx", is_fixed=True)


def _write_two(folder: Path) -> None:
    _export(folder, "two.onnx", outputs=("logits", "probabilities"))


def _classes(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    x = features(count, seed, 24)
    return x, noisy(np.digitize(x[:, 0] + x[:, 1] * x[:, 2], [-0.7, 0.7]), seed)


@monitored
@bentoml.service
class Forest:
    def __init__(self) -> None:
        from sklearn.ensemble import RandomForestClassifier

        x, y = _classes(3000, 1)
        model = RandomForestClassifier(n_estimators=120, max_depth=8, random_state=0, n_jobs=1).fit(x, y)
        self.model = MonitoredRunner(model)

    @bentoml.api(batchable=True)
    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.model.predict_proba(np.asarray(x, dtype=np.float32))


@monitored
@bentoml.service
class Boosted:
    def __init__(self) -> None:
        from lightgbm import LGBMClassifier

        x, y = _classes(3000, 1)
        model = LGBMClassifier(n_estimators=500, random_state=0, n_jobs=1, verbose=-1, deterministic=True).fit(x, y)
        self.model = MonitoredRunner(model)

    @bentoml.api(batchable=True)
    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.model.predict_proba(np.asarray(x, dtype=np.float32))


class Loan(pydantic.BaseModel):
    """An application for a loan; the income may be missing."""

    amount: float
    income: float | None
    age: int
    job: str
    region: int
    purpose: str


def _loans(count: int, seed: int) -> tuple[list[dict[str, Any]], np.ndarray]:
    draw = np.random.default_rng(seed)
    amount, income = draw.lognormal(9, 0.7, count).round(2), draw.lognormal(10, 0.5, count).round(2)
    age, region = draw.integers(18, 80, count), draw.integers(1, 9, count)
    job, purpose = draw.integers(0, len(JOBS), count), draw.integers(0, len(PURPOSES), count)
    risk = (
        np.log(amount / income) + 1 + 0.5 * (job == 1) - 0.4 * (purpose == 2) + 0.02 * (40 - age) + 0.2 * (region > 5)
    )
    is_known = draw.random(count) > 0.05
    loans = [
        Loan(
            amount=amount[i],
            income=income[i] if is_known[i] else None,
            age=age[i],
            job=JOBS[job[i]],
            region=region[i],
            purpose=PURPOSES[purpose[i]],
        ).model_dump()
        for i in range(count)
    ]
    return loans, noisy((risk > 0).astype(int), seed)


@monitored
@bentoml.service
class Loans:
    def __init__(self) -> None:
        from sklearn.compose import ColumnTransformer
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.impute import SimpleImputer
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder, StandardScaler

        texts = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
        columns = ColumnTransformer(
            [
                ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["amount", "income", "age"]),
                ("texts", texts, ["job", "purpose"]),
                ("region", OneHotEncoder(), ["region"]),
            ]
        )
        loans, refused = _loans(3000, 1)
        forest = RandomForestClassifier(n_estimators=120, max_depth=8, random_state=0, n_jobs=1)
        self.model = MonitoredRunner(make_pipeline(columns, forest).fit(pd.DataFrame(loans), refused))

    @bentoml.api(batchable=True)
    def predict(self, loans: list[Loan]) -> list[float]:
        return self.model.predict_proba(pd.DataFrame([loan.model_dump() for loan in loans]))[:, 1].tolist()


def _asked_for(folder: Path, count: int, seed: int) -> Path:
    loans, labels = _loans(count, seed + 100)
    return save_lines(folder, [{"loans": [loan]} for loan in loans], labels.tolist())


def _estimated(folder: Path, count: int, seed: int) -> Path:
    x, labels = _classes(count, seed + 100)
    return save(folder, x=x, labels=labels)


SITUATIONS = [
    Situation("onnx_direct", "files_and_trees:OnnxDirect", "accuracy", classified(models.Wide), before=_write_direct),
    Situation(
        "onnx_external_data",
        "files_and_trees:OnnxExternal",
        "accuracy",
        classified(models.Wide),
        before=_write_external,
    ),
    Situation(
        "onnx_fixed_batch", "files_and_trees:OnnxFixed", "accuracy", classified(models.Wide), before=_write_fixed
    ),
    Situation("onnx_two_outputs", "files_and_trees:OnnxTwo", "accuracy", classified(models.Wide), before=_write_two),
    Situation("scikit_learn", "files_and_trees:Forest", "accuracy", _estimated),
    Situation("lightgbm", "files_and_trees:Boosted", "accuracy", _estimated),
    Situation("loans", "files_and_trees:Loans", "accuracy", _asked_for),
]
