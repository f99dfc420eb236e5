"""Whether a model can run by CUDA graphs, tried on real calls by a stand-in on the CPU."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from captured import captured
from replaying import Replaying

from bento_monitor.lab.model_host.replay import why_not_replayed

CALLS = [{"x": torch.full((rows, 4), float(rows))} for rows in (1, 3, 5)]


class Doubled(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.factor = torch.nn.Parameter(torch.full((1,), 2.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.factor


class LessTheMean(Doubled):
    """Its rows depend on each other, so padding with rows changes its answers."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - x.mean(0) * self.factor


class Branching(Doubled):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.factor if x.sum() > 0 else x


def why(model: Any, mask_input: str | None = None) -> str | None:
    with captured(model, *CALLS) as state:
        assert state.interface is not None
        own = state.captured()[1].own_model
        return why_not_replayed(own, state.calls, state.interface.inputs, state.interface.outputs, mask_input)


@pytest.fixture
def on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> Replaying:
    capturer = Replaying()
    monkeypatch.setattr("bento_monitor.lab.model_host.replay.capturer_for", lambda device: capturer)
    return capturer


def test_model_that_can_be_replayed(on_a_gpu: Replaying) -> None:
    assert why(Doubled()) is None
    assert on_a_gpu.replays == 6


@pytest.mark.parametrize(
    ("model", "reason"), [(LessTheMean(), "gives other outputs"), (Branching(), "cannot be captured")]
)
def test_model_that_cannot_be_replayed(on_a_gpu: Replaying, model: torch.nn.Module, reason: str) -> None:
    assert reason in str(why(model))


def test_model_on_the_cpu_has_no_graphs() -> None:
    assert "need a model on a GPU" in str(why(Doubled()))
