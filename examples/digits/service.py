"""Reads handwritten digits: images of 8 x 8 pixels in, the probability of each digit out."""

from __future__ import annotations

import bentoml
import numpy as np
import torch
from bento_monitor import MonitoredRunner, monitored

from model import load_model


@monitored
@bentoml.service
class Digits:
    """Reads one digit in each image."""

    def __init__(self) -> None:
        self.model = MonitoredRunner(load_model())

    @bentoml.api(batchable=True)
    def classify(self, images: np.ndarray) -> np.ndarray:
        """Return the probabilities `(n, 10)` of images `(n, 8, 8)`, whose pixels are from 0 to 1."""
        pixels = torch.from_numpy(images.astype(np.float32))[:, None]
        with torch.inference_mode():
            return self.model(pixels).softmax(dim=1).numpy()
