"""A service whose outputs identify the model, since its own models multiply by the weights file."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import bentoml
import numpy as np
import torch

from bento_monitor import MonitoredRunner, monitored
from bento_monitor.tracing.ledger.ledger import traced_work


class Scale(torch.nn.Module):
    """`(batch, 2)` times a weight."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([weight]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.weight


class Table(torch.nn.Module):
    """Rows of a table; an index past its end means its last row."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Parameter(torch.arange(4, dtype=torch.float32)[:, None])

    def forward(self, index: torch.Tensor) -> torch.Tensor:
        return self.table[index.clamp(max=3)]


class Sequences(torch.nn.Module):
    """An LSTM over sequences of any length: `(batch, length, 2)` to `(batch, 3)`."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(7)
        self.lstm = torch.nn.LSTM(2, 3, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.lstm(x)[0][:, -1]


class Fragile(Scale):
    """Kills its process when a release of it is warmed up, if the file `kill-the-loader` exists."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if traced_work() is None and Path("kill-the-loader").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(x)


def weights() -> Any:
    return np.load("weights.npz")


@monitored
@bentoml.service
class Wild:
    def __init__(self) -> None:
        found = weights()
        self.embedder = MonitoredRunner(Scale(float(found["embed"])).eval(), name="embed")
        self.reranker = MonitoredRunner(Fragile(float(found["rerank"])).eval(), name="rerank")
        self.sequences = MonitoredRunner(Sequences().eval(), name="sequences")
        self.table = MonitoredRunner(Table().eval(), name="table")

    @bentoml.api(batchable=True)
    def embed(self, x: list[list[float]]) -> list[list[float]]:
        with torch.inference_mode():
            return self.embedder(torch.tensor(x)).tolist()

    @bentoml.api
    def search(self, x: list[list[float]]) -> list[list[float]]:
        """Another API that shares the runner of `embed`."""
        with torch.inference_mode():
            return self.embedder(torch.tensor(x)).tolist()

    @bentoml.api
    def rerank(self, x: list[list[float]]) -> list[list[float]]:
        with torch.inference_mode():
            return self.reranker(torch.tensor(x)).tolist()

    @bentoml.api
    def sequence(self, x: list[list[list[float]]]) -> list[list[float]]:
        with torch.inference_mode():
            return self.sequences(torch.tensor(x)).tolist()

    @bentoml.api
    def look_up(self, index: list[int]) -> list[list[float]]:
        with torch.inference_mode():
            return self.table(torch.tensor(index)).tolist()

    @bentoml.api
    def reload(self) -> int:
        """Reload the weights into the running model, as a service does that follows a training."""
        state = {"weight": torch.tensor([float(weights()["embed"])])}
        self.embedder.load_state_dict(state)
        return os.getpid()
