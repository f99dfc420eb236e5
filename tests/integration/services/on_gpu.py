"""A service with a model on a GPU: a call returns at once, and the API waits for its output."""

import threading

import bentoml
import torch

from bento_monitor import MonitoredRunner, monitored

WIDTH = 2048


@monitored
@bentoml.service
class OnGpu:
    def __init__(self) -> None:
        torch.manual_seed(0)
        layers = [torch.nn.Linear(WIDTH, WIDTH) for _ in range(16)]
        self.calls = 0
        self.counting = threading.Lock()
        self.model = MonitoredRunner(torch.nn.Sequential(*layers)).to("cuda").eval()

    @bentoml.api
    def alone(self, x: float) -> float:
        return self.answers([x])[0]

    @bentoml.api(batchable=True, max_batch_size=16, max_latency_ms=1000)
    def batched(self, xs: list[float]) -> list[float]:
        return self.answers(xs)

    @bentoml.api
    def calls_made(self) -> int:
        return self.calls

    @torch.inference_mode()
    def answers(self, xs: list[float]) -> list[float]:
        with self.counting:
            self.calls += 1
        rows = torch.tensor(xs, device="cuda").unsqueeze(1).expand(-1, WIDTH)
        return self.model(rows).mean(1).tolist()
