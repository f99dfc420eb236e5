"""A user's project with its own folder `optimizers`; its model wastes 20 ms in Python that no graph needs."""

import time

import bentoml
import torch

from bento_monitor import MonitoredRunner, monitored
from optimizers import SEED


class Scorer(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(SEED)
        self.layers = torch.nn.Sequential(torch.nn.Linear(4, 32), torch.nn.ReLU(), torch.nn.Linear(32, 3))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        time.sleep(0.02)
        return self.layers(features)


@monitored
@bentoml.service
class Loans:
    def __init__(self) -> None:
        self.model = MonitoredRunner(Scorer().eval())

    @bentoml.api(batchable=True)
    def score(self, features: list[list[float]]) -> list[list[float]]:
        with torch.inference_mode():
            return self.model(torch.tensor(features)).tolist()

    @bentoml.api
    def health_note(self) -> str:
        return "fine"


@bentoml.service
class NoRunner:
    @bentoml.api(batchable=True)
    def score(self, features: list[list[float]]) -> list[float]:
        return [sum(row) for row in features]
