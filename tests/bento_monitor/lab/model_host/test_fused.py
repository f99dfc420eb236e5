"""Attention as one operator: equal to the model's own, for every kind of mask, and refused where it cannot be."""

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
from bento_monitor.lab.model_host.parity import parity
from optimizers.artifacts.quantize import quantize
from optimizers.search_space.recipe import DynamicInt8

HEADS, SIZE = 3, 4


class Attention(nn.Module):
    """Attention of a sequence to itself, with a mask of the given kind made of the input `mask`."""

    def __init__(self, kind: str, **options: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.kind, self.options = kind, options
        self.inward, self.outward = nn.Linear(12, 3 * HEADS * SIZE), nn.Linear(HEADS * SIZE, 2)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        rows, length = x.shape[:2]
        query, key, value = self.inward(x).view(rows, length, 3, HEADS, SIZE).permute(2, 0, 3, 1, 4)
        shown = mask[:, None, None, :].bool()
        masks: dict[str, torch.Tensor | None] = {
            "bool": shown,
            "by query": shown & shown.transpose(2, 3),  # of a query that is padding itself, nothing is left
            "float": (~shown).to(x.dtype) * -1e4,
            "none": None,
        }
        found = nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=masks[self.kind], **self.options
        )
        answer: torch.Tensor = self.outward(found.transpose(1, 2).reshape(rows, length, HEADS * SIZE))
        return answer + 0 * mask[:, :, None]


def call(rows: int, length: int) -> dict[str, torch.Tensor]:
    mask = torch.ones(rows, length, dtype=torch.int64)
    mask[0, length // 2 + 1 :] = 0
    return {"x": torch.randn(rows, length, 12, generator=torch.Generator().manual_seed(length)), "mask": mask}


CALLS = [call(rows, length) for rows, length in ((1, 6), (2, 7), (3, 4), (5, 9))]


def fuse(model: nn.Module, path: Path) -> list[str]:
    """Export the model, compare it on captured and perturbed calls, and return the operators of the graph."""
    with captured(model.eval(), *CALLS) as state:
        export(state, path, "fused", 17)
        found = parity(state, path)
    assert found.disagreement is None
    assert found.perturbed_calls >= 20
    return [node.op_type for node in onnx.load(path).graph.node]


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("bool", {}),
        ("by query", {}),
        ("float", {}),
        ("none", {}),
        ("none", {"is_causal": True}),
        ("bool", {"scale": 0.1}),
    ],
)
def test_fused_attention_equals_the_models_own(kind: str, options: dict[str, Any], tmp_path: Path) -> None:
    operators = fuse(Attention(kind, **options), tmp_path / "m.onnx")
    assert "MultiHeadAttention" in operators
    assert "Softmax" not in operators


def test_fused_graph_can_be_quantized(tmp_path: Path) -> None:
    fuse(Attention("bool"), tmp_path / "m.onnx")
    quantize(tmp_path / "m.onnx", tmp_path / "q.onnx", DynamicInt8(is_per_channel=True))
    operators = {node.op_type for node in onnx.load(tmp_path / "q.onnx").graph.node}
    assert {"MultiHeadAttention", "MatMulInteger"} <= operators


def test_other_exports_are_as_before(tmp_path: Path) -> None:
    model = Attention("bool").eval()
    fuse(model, tmp_path / "fused.onnx")
    with captured(model, *CALLS) as state:
        export(state, tmp_path / "m.onnx", "torchscript", 17)
    assert {node.domain for node in onnx.load(tmp_path / "m.onnx").graph.node} == {""}


class Plain(Attention):
    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.outward(x[:, :, :12].softmax(-1)) + 0 * mask[:, :, None]
        return answer


class Branching(Attention):
    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return super().forward(x, mask) * (2 if x.sum() > 0 else 1)


class Double(Attention):
    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return super().forward(x.double(), mask).float()


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (Plain("none"), "calls no scaled_dot_product_attention"),
        (Branching("none"), "branches on values"),
        (Double("none").double(), "does not compute"),
    ],
)
def test_model_without_such_attention_is_refused(model: nn.Module, reason: str, tmp_path: Path) -> None:
    with captured(model.eval(), *CALLS) as state, pytest.raises(BentoMonitorError, match=reason):
        export(state, tmp_path / "m.onnx", "fused", 17)
