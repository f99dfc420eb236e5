"""A convolutional network that reads digits of 8 x 8 pixels."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from safetensors.torch import load_file

FILES = Path(os.environ.get("EXAMPLE_FILES") or Path(__file__).with_name("files"))
WEIGHTS = "digits.safetensors"
PIXELS = 8
CLASSES = 10


class DigitNet(torch.nn.Module):
    """Three convolutions and two linear layers: `(n, 1, 8, 8)` from 0 to 1 -> logits `(n, 10)`."""

    def __init__(self) -> None:
        super().__init__()
        self.features = torch.nn.Sequential(
            torch.nn.Conv2d(1, 32, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.Conv2d(32, 64, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.MaxPool2d(2),
            torch.nn.Conv2d(64, 128, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.MaxPool2d(2),
        )
        self.classifier = torch.nn.Sequential(
            torch.nn.Flatten(), torch.nn.Linear(128 * 4, 128), torch.nn.ReLU(), torch.nn.Linear(128, CLASSES)
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits of each image."""
        logits: torch.Tensor = self.classifier(self.features(images))
        return logits


def load_model() -> DigitNet:
    """Return the trained network in evaluation mode; its weights are those that train.py wrote."""
    path = FILES / WEIGHTS
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: run `python make_data.py` and `python train.py` first.")
    model = DigitNet()
    model.load_state_dict(load_file(path))
    return model.eval()
