"""The benchmark's workloads as a plain BentoML service."""

from __future__ import annotations

import bentoml
import numpy as np
from served.pauses import note_pauses
from served.work import EMBEDDING, compute, computed


@bentoml.service(threads=1)
class Served:
    def __init__(self) -> None:
        note_pauses()

    @bentoml.api
    async def noop(self, x: int) -> int:
        return x

    @bentoml.api
    async def embedding(self, text: str) -> list[float]:
        return EMBEDDING

    @bentoml.api
    async def numpy(self, a: np.ndarray) -> np.ndarray:
        return a

    @bentoml.api(batchable=True)
    def batched(self, xs: list[int]) -> list[int]:
        return xs

    @bentoml.api
    def model_1ms(self, x: int) -> int:
        return compute(x, 0.001)

    @bentoml.api
    def model_5ms(self, x: int) -> int:
        return compute(x, 0.005)

    @bentoml.api
    def calls(self) -> int:
        """Return how often a model was called. Runs in the only thread, so that no call is half done."""
        return computed()

    @bentoml.api(batchable=True)
    def batch_model(self, xs: list[int]) -> list[int]:
        compute(0, 0.001 + 0.0001 * len(xs))
        return xs

    @bentoml.api(batchable=True, max_batch_size=8, max_latency_ms=250)
    def shedding_model(self, xs: list[int]) -> list[int]:
        compute(0, 0.010 + 0.001 * len(xs))
        return xs
