"""A batchable API that holds its batch until the test opens a gate, so that a burst of requests accumulates."""

import os
import time
from pathlib import Path

import bentoml
import torch

from bento_monitor import MonitoredRunner, monitored

GATE = Path(os.environ["BATCHED_GATE"])


@monitored
@bentoml.service
class Batched:
    def __init__(self) -> None:
        self.model = MonitoredRunner(torch.nn.Linear(1, 1))

    @bentoml.api(batchable=True, max_batch_size=256)
    def score(self, rows: list[float]) -> list[float]:
        (GATE / "entered").touch()
        while not (GATE / "open").exists():
            time.sleep(0.01)
        with torch.inference_mode():
            return self.model(torch.tensor(rows).unsqueeze(1)).squeeze(1).tolist()
