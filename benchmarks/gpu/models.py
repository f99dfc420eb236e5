"""The models of `make bench-gpu`, with calls from host to host: a sentence encoder and ResNet-18."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import nn

LENGTHS = (13, 30, 86, 247)
"""Tokens of a sentence at the 5th, 50th and 95th percentile, and most, in the data of the example."""
_VOCABULARY, _SIDE = 30_000, 224


@dataclass(frozen=True, slots=True)
class GpuModel:
    """A model on the host, its batch sizes, the input that masks, and a function that draws the inputs of a batch."""

    name: str
    module: nn.Module
    batches: Sequence[int]
    mask_input: str | None
    draw: Callable[[int, np.random.Generator], dict[str, Any]]


class ResidualBlock(nn.Module):
    """Two convolutions of 3x3 beside an identity, or a projection where the shape changes (He et al., 2015)."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.path = nn.Sequential(
            nn.Conv2d(width_in, width, 3, stride, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width),
        )
        is_same = stride == 1 and width_in == width
        self.beside = (
            nn.Identity()
            if is_same
            else nn.Sequential(nn.Conv2d(width_in, width, 1, stride, bias=False), nn.BatchNorm2d(width))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the sum of both paths, rectified."""
        return torch.relu(self.path(x) + self.beside(x))


def resnet18() -> nn.Module:
    """Return ResNet-18 with random weights: `(batch, 3, 224, 224)` -> `(batch, 1000)`."""
    torch.manual_seed(0)
    widths = [(64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1), (256, 512, 2)]
    blocks = [ResidualBlock(*each) for each in [*widths, (512, 512, 1)]]
    stem = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000)).eval()


def gpu_models() -> list[GpuModel]:
    """Return both models."""
    load_encoder = import_module("model").load_encoder  # of examples/semantic_search

    return [
        GpuModel("minilm", load_encoder(), (1, 8, 32, 128), "attention_mask", _sentences),
        GpuModel("resnet18", resnet18(), (1, 32), None, _images),
    ]


def _sentences(rows: int, generator: np.random.Generator) -> dict[str, Any]:
    """Draw token ids of sentences, whose lengths are distributed as those of the example's data."""
    shares = np.interp(generator.random(rows), (0.05, 0.5, 0.95, 1.0), LENGTHS)
    lengths = torch.from_numpy(shares.astype(np.int64))
    mask = (torch.arange(int(lengths.max()))[None] < lengths[:, None]).to(torch.int64)
    ids = torch.from_numpy(generator.integers(1000, _VOCABULARY, mask.shape))
    return {"input_ids": ids * mask, "attention_mask": mask}


def _images(rows: int, generator: np.random.Generator) -> dict[str, Any]:
    return {"input": torch.from_numpy(generator.standard_normal((rows, 3, _SIDE, _SIDE)).astype(np.float32))}
