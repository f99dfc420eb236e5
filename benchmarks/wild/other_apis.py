"""APIs of other shapes around the same models: several parameters, several APIs and runners, records, data frames."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import bentoml
import models
import numpy as np
import pandas as pd
import pydantic
import torch
from bentoml.validators import DataframeSchema
from situation import Situation, features, noisy, save, save_lines
from tabular import NAMES, classes_of, classified

from bento_monitor import MonitoredRunner, monitored

COLUMNS = [f"c{index}" for index in range(64)]


class Row(pydantic.BaseModel):
    """A client's record."""

    values: list[float]


def _tensor(x: object) -> torch.Tensor:
    return torch.as_tensor(np.asarray(x), dtype=torch.float32)


@monitored
@bentoml.service
class TwoInputs:
    def __init__(self) -> None:
        self.model = MonitoredRunner(models.TwoInputs().eval())

    @bentoml.api
    def predict(self, x: np.ndarray, kind: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return self.model(_tensor(x), torch.as_tensor(kind, dtype=torch.int64)).numpy()


@monitored
@bentoml.service
class SeveralParameters:
    def __init__(self) -> None:
        self.model = MonitoredRunner(models.Wide().eval())

    @bentoml.api
    def predict(self, x: list[float], scale: float = 1.0, note: str = "") -> dict[str, float]:
        with torch.inference_mode():
            scores = self.model(_tensor([x]) * scale)[0].softmax(0)
        return {"label": int(scores.argmax()), "probability": float(scores.amax())}


@monitored
@bentoml.service
class OneArray:
    def __init__(self) -> None:
        self.model = MonitoredRunner(models.Wide().eval())

    @bentoml.api
    def predict(self, x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return self.model(_tensor(x)).numpy()


@monitored
@bentoml.service
class TwoApis:
    def __init__(self) -> None:
        self.model = MonitoredRunner(models.Wide().eval())

    @bentoml.api(batchable=True)
    def predict(self, x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return self.model(_tensor(x)).numpy()

    @bentoml.api(batchable=True)
    def scaled(self, x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return self.model(_tensor(x) / 100).numpy()


@monitored
@bentoml.service
class TwoRunners:
    def __init__(self) -> None:
        self.first = MonitoredRunner(models.Wide(outputs=64, seed=5).eval(), name="first")
        self.second = MonitoredRunner(models.Wide().eval(), name="second")

    @bentoml.api(batchable=True)
    def predict(self, x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return self.second(_tensor(x) + self.first(_tensor(x)) / 1000).numpy()


@monitored
@bentoml.service
class StringAnswers:
    def __init__(self) -> None:
        self.model = MonitoredRunner(models.Wide().eval())

    @bentoml.api(batchable=True)
    def predict(self, x: np.ndarray) -> list[str]:
        with torch.inference_mode():
            return [str(NAMES[index]) for index in self.model(_tensor(x)).argmax(1).tolist()]


@monitored
@bentoml.service
class Records:
    def __init__(self) -> None:
        self.model = MonitoredRunner(models.Wide().eval())

    @bentoml.api(batchable=True)
    def predict(self, rows: list[Row]) -> list[int]:
        with torch.inference_mode():
            return self.model(_tensor([row.values for row in rows])).argmax(1).tolist()


@monitored
@bentoml.service
class Frame:
    def __init__(self) -> None:
        self.model = MonitoredRunner(models.Wide().eval())

    @bentoml.api(batchable=True)
    def predict(self, df: Annotated[pd.DataFrame, DataframeSchema(columns=COLUMNS)]) -> np.ndarray:
        with torch.inference_mode():
            return self.model(_tensor(df[COLUMNS].to_numpy())).numpy()


def _two_inputs(folder: Path, count: int, seed: int) -> Path:
    x, kind = features(count, seed), np.random.default_rng(seed).integers(0, 10, count)
    classes = torch.cat(models.answers_of(models.TwoInputs().eval(), x, kind)).argmax(1).numpy()
    return save(folder, x=x, kind=kind, labels=noisy(classes, seed))


def _several(folder: Path, count: int, seed: int) -> Path:
    x = features(count, seed)
    labels = noisy(classes_of(models.Wide(), x), seed).tolist()
    return save_lines(folder, [{"x": row, "note": "n"} for row in x.tolist()], labels)


def _strings(folder: Path, count: int, seed: int) -> Path:
    x = features(count, seed)
    return save(folder, x=x, labels=NAMES[noisy(classes_of(models.Wide(), x), seed)])


def _records(folder: Path, count: int, seed: int) -> Path:
    x = features(count, seed)
    labels = noisy(classes_of(models.Wide(), x), seed).tolist()
    return save_lines(folder, [{"rows": [{"values": row}]} for row in x.tolist()], labels)


def _frame(folder: Path, count: int, seed: int) -> Path:
    x = features(count, seed)
    labels = noisy(classes_of(models.Wide(), x), seed).tolist()
    return save_lines(folder, [{"df": [dict(zip(COLUMNS, row, strict=True))]} for row in x.tolist()], labels)


SITUATIONS = [
    Situation("two_inputs", "other_apis:TwoInputs", "accuracy", _two_inputs),
    Situation(
        "several_parameters",
        "other_apis:SeveralParameters",
        "accuracy",
        _several,
        options=("--output", "label:classes"),
    ),
    Situation("not_batchable_array", "other_apis:OneArray", "accuracy", classified(models.Wide)),
    Situation("two_apis", "other_apis:TwoApis", "accuracy", classified(models.Wide), options=("--api", "predict")),
    Situation("two_runners", "other_apis:TwoRunners", "accuracy", classified(models.Wide)),
    Situation("string_answers", "other_apis:StringAnswers", "accuracy", _strings),
    Situation("pydantic_list", "other_apis:Records", "accuracy", _records),
    Situation("data_frame", "other_apis:Frame", "accuracy", _frame),
]
