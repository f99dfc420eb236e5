"""Recurrent states as inputs and outputs, with the batch on the second axis: separate per row on every backend."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from captured import captured, contender_of
from torch import nn


class Streaming(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.LSTM(4, 3, num_layers=2, batch_first=True)
        self.head = nn.Linear(3, 2)

    def forward(self, x: torch.Tensor, hidden: torch.Tensor, cell: torch.Tensor) -> Any:
        found, (hidden, cell) = self.layers(x, (hidden, cell))
        return self.head(found[:, -1]), hidden, cell


def draw(rows: int, length: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(rows)
    shapes = {"x": (rows, length, 4), "hidden": (2, rows, 3), "cell": (2, rows, 3)}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


@pytest.mark.parametrize("backend", ["torch", "onnxruntime"])
def test_each_row_continues_from_its_own_state(backend: Any, tmp_path: Path) -> None:
    with captured(Streaming().eval(), *(draw(rows, length) for rows, length in ((1, 5), (3, 5), (8, 7)))) as state:
        state.service = SimpleNamespace(name="Service")
        contender = contender_of(state, backend, tmp_path)
        _, runner = state.captured()
        runner.activate(state.prepare(contender))
        together = draw(6, 4)
        found = runner(**together)
        for row in range(6):
            one = {
                "x": together["x"][[row]],
                "hidden": together["hidden"][:, [row]],
                "cell": together["cell"][:, [row]],
            }
            y, hidden, cell = runner.own_model.run((), one)
            torch.testing.assert_close(found[0][[row]], y, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(found[1][:, [row]], hidden, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(found[2][:, [row]], cell, rtol=1e-4, atol=1e-5)
    assert runner.fallbacks.totals() == {}
