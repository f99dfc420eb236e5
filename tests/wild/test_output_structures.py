"""A release's output has the structure of the model's own, however nested.

Seen before: an LSTM's `(out, (h, c))`, a dataclass or an int next to the tensors ended a study, and a None in a dict
was missing from the release's output.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from captured import captured, contender_of
from torch import nn
from transformers.modeling_outputs import BaseModelOutput

from bento_monitor.errors import InputError, ReleaseError
from bento_monitor.lab.model_host.messages import Contender
from bento_monitor.serving_config import Execution


@dataclass
class Plain:
    logits: torch.Tensor
    note: str = "fine"


@dataclass(frozen=True, slots=True)
class Checked:
    first: torch.Tensor
    rest: tuple[torch.Tensor, ...]

    def __post_init__(self) -> None:
        if self.first.requires_grad:
            raise ValueError("detach it")


class Pair(NamedTuple):
    left: torch.Tensor
    right: dict[str, torch.Tensor]


class Model(nn.Module):
    """A linear layer, and a function of its output and of the input."""

    def __init__(self, build: Callable[[torch.Tensor, torch.Tensor], Any]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(4, 4)
        self.build = build

    def forward(self, x: torch.Tensor) -> Any:
        return self.build(self.linear(x), x)


BUILDS: dict[str, Callable[[torch.Tensor, torch.Tensor], Any]] = {
    "tuple in a tuple": lambda y, x: (y, (y.sum(1), y * x)),
    "list of tuples": lambda y, x: [(y, x * 2), (y * 3, x.sum(0))],
    "dict in a dict": lambda y, x: {"a": {"b": y, "c": [x * 2]}, "d": y.argmax(1)},
    "None and constants": lambda y, _: {"y": y, "cache": None, "kind": "sum", "scale": 2.5, "is_final": True},
    "keys that are numbers": lambda y, x: {0: y, 1: x * 2},
    "keys that look like numbers": lambda y, x: {"0": y, "1": x * 2},
    "dataclass": lambda y, _: Plain(y),
    "dataclass, frozen, with slots": lambda y, x: Checked(y.detach(), (x * 2, y * 2)),
    "named tuple": lambda y, x: Pair(y, {"x": x * 2}),
    "ModelOutput": lambda y, x: BaseModelOutput(last_hidden_state=y, hidden_states=(x * 2, y * 2)),
}
ROWS = [{"x": torch.randn(n, 4, generator=torch.Generator().manual_seed(n))} for n in (1, 2, 3, 8)]


@pytest.mark.parametrize("name", BUILDS)
@pytest.mark.parametrize("backend", ["torch", "onnxruntime"])
def test_release_returns_the_structure_of_the_model(name: str, backend: Any, tmp_path: Path) -> None:
    model = Model(BUILDS[name]).eval()
    with captured(model, *ROWS) as state:
        state.service = SimpleNamespace(name="Service")
        contender = contender_of(state, backend, tmp_path)
        found = state.prepare(contender).model.run((), ROWS[3])
    with torch.no_grad():
        expected = model(ROWS[3]["x"])
    assert_alike(found, expected)


def test_release_of_another_structure_is_refused() -> None:
    model = Model(BUILDS["dataclass"]).eval()
    with captured(model, *ROWS) as state:
        state.service = SimpleNamespace(name="Service")
        model.build = BUILDS["dataclass, frozen, with slots"]
        with pytest.raises(ReleaseError, match="not built like"):
            state.prepare(Contender(Execution("torch", "fp32", 1)))


@pytest.mark.parametrize("value", [object(), {1, 2}, float("nan"), b"bytes"], ids=["object", "set", "NaN", "bytes"])
def test_error_names_values_that_are_neither_tensor_nor_constant(value: Any) -> None:
    with (
        pytest.raises(InputError, match=r"as a\.b: only tensors"),
        captured(Model(lambda y, _: {"y": y, "a": {"b": value}}).eval(), *ROWS),
    ):
        pass


def assert_alike(found: Any, expected: Any) -> None:
    assert type(found) is type(expected)
    if isinstance(expected, torch.Tensor):
        torch.testing.assert_close(found, expected)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for key, value in expected.items():
            assert_alike(found[key], value)
    elif isinstance(expected, tuple | list):
        for left, right in zip(found, expected, strict=True):
            assert_alike(left, right)
    elif isinstance(expected, Plain | Checked):
        for name in type(expected).__dataclass_fields__:
            assert_alike(getattr(found, name), getattr(expected, name))
    else:
        assert found == expected
