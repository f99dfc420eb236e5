"""A branch on data is kept, shown to be harmless, or refused with its line: never silently fixed.

Seen before: a model with a branch that no sample took was exported as only `Gemm, Relu`, and was off by 1.71 with
outputs of up to .13.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from captured import captured
from torch import nn

from bento_monitor.errors import BentoMonitorError
from bento_monitor.lab.model_host.export import export
from bento_monitor.lab.model_host.messages import Parity
from bento_monitor.lab.model_host.parity import parity

ROWS = [{"x": torch.randn(n, 4, generator=torch.Generator().manual_seed(n))} for n in (1, 2, 3, 8, 32)]
SEQUENCES = [
    {"x": torch.randn(n, length, 4, generator=torch.Generator().manual_seed(n))}
    for n, length in ((1, 6), (2, 7), (3, 4), (5, 9))
]


class TwoWays(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.left = nn.Linear(4, 4)
        self.right = nn.Linear(4, 4)


class RareMean(TwoWays):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.mean() > 50:
            return self.right(x)
        return torch.relu(self.left(x))


class LoopOverLength(TwoWays):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state = torch.zeros_like(x[:, 0])
        for step in range(x.shape[1]):
            state = torch.tanh(self.left(x[:, step]) + state)
        return state


class While(TwoWays):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        while bool(x.abs().max() > 1):
            x = x / 2
        return self.left(x)


class OneRow(TwoWays):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.left(x) if x.shape[0] == 1 else self.right(x)


class NotScriptable(TwoWays):
    """A module that torch.jit.script rejects because of `**_`."""

    def forward(self, x: torch.Tensor, **_: Any) -> torch.Tensor:
        return self.right(x) if self.decide(x) else self.left(x)

    def decide(self, x: torch.Tensor) -> bool:
        raise NotImplementedError


class RareBool(NotScriptable):
    def decide(self, x: torch.Tensor) -> bool:
        return bool(x.mean() > 1e30)


class RareItem(NotScriptable):
    def decide(self, x: torch.Tensor) -> bool:
        return x.mean().item() > 1e30


class RareEqual(NotScriptable):
    def decide(self, x: torch.Tensor) -> bool:
        return torch.equal(x, torch.zeros_like(x))


class RareInNumpy(NotScriptable):
    def decide(self, x: torch.Tensor) -> bool:
        return bool(x.detach().numpy().mean() > 1e30)


class LongBatch(NotScriptable):
    def decide(self, x: torch.Tensor) -> bool:
        return x.shape[0] > 90


class NotFinite(NotScriptable):
    """A branch that only raises, so that no output is lost."""

    def decide(self, x: torch.Tensor) -> bool:
        if torch.isinf(x).any():
            raise ValueError("infinite")
        return False


class ReplacesNaN(NotScriptable):
    def forward(self, x: torch.Tensor, **_: Any) -> torch.Tensor:
        return self.left(torch.nan_to_num(x)) if torch.isnan(x).any() else self.left(x)


class Scaled(NotScriptable):
    def forward(self, x: torch.Tensor, **_: Any) -> torch.Tensor:
        return self.left(x) * x.mean().item()


def exported(model: nn.Module, calls: list[dict[str, Any]], path: Path, exporter: Any = "torchscript") -> Parity:
    with captured(model.eval(), *calls) as state:
        export(state, path, exporter, 17)
        return parity(state, path)


def operators(path: Path) -> set[str]:
    return {node.op_type for node in onnx.load(path).graph.node}


@pytest.mark.parametrize(("model", "operator"), [(RareMean(), "If"), (While(), "Loop")], ids=["if", "while"])
def test_branch_on_data_is_in_the_graph(model: nn.Module, operator: str, tmp_path: Path) -> None:
    found = exported(model, ROWS, tmp_path / "m.onnx")
    assert found.disagreement is None
    assert found.perturbed_calls > 10
    assert operator in operators(tmp_path / "m.onnx")
    assert found.export is not None
    assert (found.export.method, found.export.control_flow) == ("scripted", "kept")


@pytest.mark.parametrize(
    ("model", "calls"), [(LoopOverLength(), SEQUENCES), (OneRow(), ROWS)], ids=["loop over a length", "batch of 1"]
)
def test_branch_on_a_shape_is_lost_by_tracing_and_kept_by_scripting(
    model: nn.Module, calls: list[dict[str, Any]], tmp_path: Path
) -> None:
    assert exported(model, calls, tmp_path / "m.onnx").disagreement is not None
    assert exported(model, calls, tmp_path / "m.onnx", "scripted").disagreement is None


@pytest.mark.parametrize("model", [RareBool(), RareItem(), RareEqual(), RareInNumpy()], ids=lambda m: type(m).__name__)
def test_branch_that_tracing_would_lose_is_refused_with_its_line(model: nn.Module, tmp_path: Path) -> None:
    code = type(model).decide.__code__
    with pytest.raises(BentoMonitorError, match="branches on the values") as error:
        exported(model, ROWS, tmp_path / "m.onnx")
    assert f"{Path(__file__).name}:{code.co_firstlineno + 1}" in str(error.value)
    assert "\n" not in str(error.value)


def test_branch_beyond_every_seen_size_is_found(tmp_path: Path) -> None:
    found = exported(LongBatch(), ROWS, tmp_path / "m.onnx")
    assert found.disagreement is not None
    assert "a batch of 91" in found.disagreement
    assert "test_traced_branches.py:" in found.disagreement


def test_branch_that_only_raises_is_traced_and_noted(tmp_path: Path) -> None:
    found = exported(NotFinite(), ROWS, tmp_path / "m.onnx")
    assert found.disagreement is None
    assert found.export is not None
    assert found.export.control_flow == "data-dependent"
    assert "Only tracing works" in found.export.note
    assert found.export.warnings


@pytest.mark.parametrize(("model", "why"), [(ReplacesNaN(), "NaN"), (Scaled(), "differs")], ids=["NaN", "number"])
def test_constant_of_the_trace_is_detected_by_unseen_inputs(model: nn.Module, why: str, tmp_path: Path) -> None:
    found = exported(model, ROWS, tmp_path / "m.onnx")
    assert found.disagreement is not None
    assert why in found.disagreement


def test_number_from_the_data_is_kept_by_the_other_exporter(tmp_path: Path) -> None:
    assert exported(Scaled(), ROWS, tmp_path / "m.onnx", "dynamo").disagreement is None


def test_failure_of_an_exporter_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BentoMonitorError) as error:
        exported(RareBool(), ROWS, tmp_path / "m.onnx", "dynamo")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300
