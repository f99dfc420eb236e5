"""A service that leaves reference cycles behind on request, and counts those that it finds."""

import gc
import weakref
from collections import Counter

import bentoml
import psutil
import torch

from bento_monitor import MonitoredRunner, monitored


@monitored
@bentoml.service
class Memory:
    def __init__(self) -> None:
        self.model = MonitoredRunner(torch.nn.Linear(4, 4))
        self.tied: list[weakref.ref[object]] = []

    @bentoml.api
    async def leave_cycle(self) -> int:
        cycle: list[object] = [bytearray(100_000)]
        cycle.append(cycle)
        return len(cycle)

    @bentoml.api
    def tie(self) -> dict[str, str | None]:
        """Make the current model part of a cycle, as hooks and callbacks of models do."""
        model = self.model._active.model
        model.itself = model
        self.tied.append(weakref.ref(model))
        with torch.inference_mode():
            self.model(torch.ones(1, 4))
        return {"release": self.model.release}

    @bentoml.api
    async def tied_alive(self) -> int:
        return sum(model() is not None for model in self.tied)

    @bentoml.api
    async def resident_mib(self) -> float:
        return psutil.Process().memory_info().rss / 2**20

    @bentoml.api
    async def noop(self, x: int = 0) -> int:
        return x

    @bentoml.api
    def in_thread(self, x: int = 0) -> int:
        return x

    @bentoml.api
    def fails(self) -> int:
        raise ValueError

    @bentoml.api(batchable=True)
    def batched(self, xs: list[int]) -> list[int]:
        return xs

    @bentoml.api
    async def stop_collecting(self) -> None:
        gc.collect()
        gc.disable()

    @bentoml.api
    async def collect(self) -> dict[str, int]:
        """Count the objects since `stop_collecting` that only the collector can free, by type."""
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        gc.set_debug(0)
        gc.enable()
        found = Counter(type(each).__name__ for each in gc.garbage)
        gc.garbage.clear()
        return dict(found)
