"""A service whose APIs call each other: on the loop, from a thread, and a batched one."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import bentoml


@bentoml.service(threads=4)
class Itself:
    """APIs that sleep for known times, so that a stage with another's time is detected."""

    @bentoml.api
    async def slow(self, x: int) -> int:
        await asyncio.sleep(0.1)
        return x + 1

    @bentoml.api(batchable=True, max_batch_size=4)
    def batched(self, xs: list[int]) -> list[int]:
        time.sleep(0.1)
        return [x + 1 for x in xs]

    @bentoml.api
    async def on_loop(self, x: int) -> int:
        await asyncio.sleep(0.1)
        me: Any = self
        return int(await me.to_async.slow(x)) + int((await me.to_async.batched([x]))[0])

    @bentoml.api
    def in_thread(self, x: int) -> int:
        time.sleep(0.1)
        me: Any = self
        return int(me.to_sync.slow(x=x))
