"""Models of one array of numbers, with outputs of several kinds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bentoml
import models
import numpy as np
import torch
from numpy.typing import NDArray
from situation import Situation, features, noisy, save

from bento_monitor import MonitoredRunner, monitored


def classes_of(model: torch.nn.Module, x: NDArray[Any]) -> NDArray[np.int64]:
    """Return the class of each sample by the model's logits."""
    with torch.inference_mode():
        return np.concatenate([part.argmax(1).numpy() for part in models.answers_of(model.eval(), x)])


def classified(make: Callable[[], torch.nn.Module]) -> Callable[[Path, int, int], Path]:
    """Return a writer of samples whose labels are a model's classes, noised."""

    def write(folder: Path, count: int, seed: int) -> Path:
        x = features(count, seed)
        return save(folder, x=x, labels=noisy(classes_of(make(), x), seed))

    return write


def service_of(make: Callable[[], Any], answer: Callable[[Any], Any], name: str, **options: Any) -> Any:
    """Return a service with one model: rows of numbers in; out comes `answer` of the model's output."""

    class Served:
        def __init__(self) -> None:
            self.model = MonitoredRunner(make())

        @bentoml.api(batchable=True, **options)
        def predict(self, x: np.ndarray) -> np.ndarray:
            with torch.inference_mode():
                return np.asarray(answer(self.model(torch.as_tensor(x, dtype=torch.float32))))

    Served.__name__ = Served.__qualname__ = name
    return monitored(bentoml.service(Served))


Mlp = service_of(lambda: models.Wide().eval(), lambda out: out, "Mlp")
Small = service_of(lambda: models.Wide().eval(), lambda out: out, "Small", max_batch_size=8)
Binary = service_of(lambda: models.Binary().eval(), lambda out: out, "Binary")
ClassIds = service_of(lambda: models.Classes().eval(), lambda out: out, "ClassIds")
MultiLabel = service_of(lambda: models.Tags().eval(), lambda out: out, "MultiLabel")
Regression = service_of(lambda: models.Value().eval(), lambda out: out, "Regression")
DictOutput = service_of(lambda: models.AsDict().eval(), lambda out: out["probabilities"], "DictOutput")
DataclassOutput = service_of(lambda: models.AsDataclass().eval(), lambda out: out.logits, "DataclassOutput")
NestedTuple = service_of(lambda: models.Nested().eval(), lambda out: out[0], "NestedTuple")
Looped = service_of(lambda: models.Loop().eval(), lambda out: out, "Looped")
Rare = service_of(lambda: models.RareBranch().eval(), lambda out: out, "Rare")
Forgotten = service_of(lambda: models.ForgottenNorm().train(), lambda out: out, "Forgotten")
Dropped = service_of(lambda: models.AlwaysDropout().eval(), lambda out: out, "Dropped")
Scripted = service_of(lambda: torch.jit.script(models.Wide().eval()), lambda out: out, "Scripted")
Compiled = service_of(lambda: torch.compile(models.Wide().eval()), lambda out: out, "Compiled")
StringLabels = service_of(lambda: models.Wide().eval(), lambda out: out.softmax(1), "StringLabels")

NAMES = np.array(["approved", "declined", "fraud", "review"])


def _binary(folder: Path, count: int, seed: int) -> Path:
    x = features(count, seed)
    with torch.inference_mode():
        probability = torch.cat(models.answers_of(models.Binary().eval(), x)).numpy()
    return save(folder, x=x, labels=noisy((probability >= 0.5).astype(np.int64), seed))


def _tags(folder: Path, count: int, seed: int) -> Path:
    x = features(count, seed)
    with torch.inference_mode():
        probability = torch.cat(models.answers_of(models.Tags().eval(), x)).numpy()
    is_set = (probability >= 0.5).astype(np.int64)
    flipped = np.random.default_rng(seed).random(is_set.shape) < 0.05
    return save(folder, x=x, labels=np.where(flipped, 1 - is_set, is_set))


def _value(folder: Path, count: int, seed: int) -> Path:
    x = features(count, seed)
    with torch.inference_mode():
        value = torch.cat(models.answers_of(models.Value().eval(), x)).numpy()
    return save(folder, x=x, labels=value + np.random.default_rng(seed).normal(size=count) * value.std() / 3)


def _strings(folder: Path, count: int, seed: int) -> Path:
    x = features(count, seed)
    return save(folder, x=x, labels=NAMES[noisy(classes_of(models.Wide(), x), seed)])


def _own_classes(folder: Path, count: int, seed: int) -> Path:
    x = features(count, seed)
    with torch.inference_mode():
        classes = torch.cat(models.answers_of(models.Classes().eval(), x)).numpy()
    return save(folder, x=x, labels=noisy(classes, seed))


SITUATIONS = [
    Situation("tabular_mlp", "tabular:Mlp", "accuracy", classified(models.Wide)),
    Situation("max_batch_size_8", "tabular:Small", "accuracy", classified(models.Wide)),
    Situation("binary_probability", "tabular:Binary", "accuracy", _binary),
    Situation("class_ids", "tabular:ClassIds", "accuracy", _own_classes),
    Situation("multi_label", "tabular:MultiLabel", "f1_macro", _tags, samples=3000),
    Situation("regression", "tabular:Regression", "mae", _value, max_drop="2%", samples=24_000),
    Situation("dict_output", "tabular:DictOutput", "accuracy", classified(models.Wide)),
    Situation("dataclass_output", "tabular:DataclassOutput", "accuracy", classified(models.Wide)),
    Situation("nested_tuple", "tabular:NestedTuple", "accuracy", classified(models.Wide)),
    Situation("loop", "tabular:Looped", "accuracy", classified(models.Loop)),
    Situation("rare_branch", "tabular:Rare", "accuracy", classified(models.Wide)),
    Situation(
        "forgotten_eval_batch_norm", "tabular:Forgotten", "accuracy", classified(models.Wide), may_be_refused=True
    ),
    Situation("forgotten_eval_dropout", "tabular:Dropped", "accuracy", classified(models.Wide), may_be_refused=True),
    Situation("jit", "tabular:Scripted", "accuracy", classified(models.Wide)),
    Situation("compile", "tabular:Compiled", "accuracy", classified(models.Wide)),
    Situation("string_labels", "tabular:StringLabels", "accuracy", _strings),
]
