"""Tasks that work, fail and are batched."""

from __future__ import annotations

import time

import bentoml
from opentelemetry import trace


@bentoml.service(threads=4)
class Tasks:
    @bentoml.task
    def work(self, x: int) -> int:
        with trace.get_tracer("mine").start_as_current_span("mine"):
            time.sleep(0.2)
        return x + 1

    @bentoml.task
    async def fails(self, x: int) -> int:
        raise ValueError(f"not {x}")

    @bentoml.task(batchable=True, max_batch_size=4)
    def batched(self, xs: list[int]) -> list[int]:
        time.sleep(0.1)
        return [x + 1 for x in xs]
