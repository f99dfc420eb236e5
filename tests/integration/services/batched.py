"""A service of the tests: a batchable API whose batches take so long that all of a burst gathers meanwhile."""

import time

import bentoml
import torch

from bento_monitor import MonitoredRunner, monitored


@monitored
@bentoml.service
class Batched:
    def __init__(self) -> None:
        self.model = MonitoredRunner(torch.nn.Linear(1, 1))

    @bentoml.api(batchable=True, max_batch_size=256)
    def score(self, rows: list[float]) -> list[float]:
        time.sleep(0.5)
        with torch.inference_mode():
            return self.model(torch.tensor(rows).unsqueeze(1)).squeeze(1).tolist()
