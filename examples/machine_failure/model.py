"""The networks of both streams: how close a pump is to its failure, and how abnormal a radiator's reading is."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from safetensors.torch import load_file

from pump import CHANNELS

FILES = Path(os.environ.get("EXAMPLE_FILES") or Path(__file__).with_name("files"))
PUMP_WEIGHTS, RADIATOR_WEIGHTS = "pump.safetensors", "radiator.safetensors"
RADIATOR_SENSORS = 9


class WearNet(torch.nn.Module):
    """Windows `(n, seconds, channels)` in the sensors' units -> logits `(n,)`; its buffers standardize the channels."""

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, channels: int = len(CHANNELS)) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("scale", torch.ones(channels))
        self.layers = torch.nn.Sequential(
            torch.nn.Conv1d(channels, 64, 5, padding=2),
            torch.nn.ReLU(),
            torch.nn.Conv1d(64, 64, 5, stride=2, padding=2),
            torch.nn.ReLU(),
            torch.nn.Conv1d(64, 128, 5, stride=2, padding=2),
            torch.nn.ReLU(),
            torch.nn.AdaptiveAvgPool1d(1),
            torch.nn.Flatten(),
            torch.nn.Linear(128, 64),
            torch.nn.ReLU(),
            torch.nn.Linear(64, 1),
        )

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Return the logit of each window."""
        standardized = (windows - self.mean) / self.scale
        logits: torch.Tensor = self.layers(standardized.transpose(1, 2))
        return logits[:, 0]


class RadiatorNet(torch.nn.Module):
    """Readings `(n, 9)` -> logits `(n,)`; its buffers scale the sensors."""

    middle: torch.Tensor
    width: torch.Tensor

    def __init__(self, sensors: int = RADIATOR_SENSORS) -> None:
        super().__init__()
        self.register_buffer("middle", torch.zeros(sensors))
        self.register_buffer("width", torch.ones(sensors))
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(sensors, 256),
            torch.nn.ReLU(),
            torch.nn.Linear(256, 256),
            torch.nn.ReLU(),
            torch.nn.Linear(256, 1),
        )

    def forward(self, readings: torch.Tensor) -> torch.Tensor:
        """Return the logit of each reading."""
        # Some readings lie hundreds of times further out than most.
        logits: torch.Tensor = self.layers(torch.asinh((readings - self.middle) / self.width))
        return logits[:, 0]


def load_pump_model() -> WearNet:
    """Return the pumps' network in evaluation mode, with the weights that train.py wrote."""
    model = WearNet()
    model.load_state_dict(_weights(PUMP_WEIGHTS))
    return model.eval()


def load_radiator_model() -> RadiatorNet:
    """Return the radiator's network in evaluation mode, with the weights that train.py wrote."""
    model = RadiatorNet()
    model.load_state_dict(_weights(RADIATOR_WEIGHTS))
    return model.eval()


def _weights(name: str) -> dict[str, torch.Tensor]:
    path = FILES / name
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: run `python make_data.py` and `python train.py` first.")
    return load_file(path)
