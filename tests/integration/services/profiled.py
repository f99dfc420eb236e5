"""Services with one bottleneck each, and healthy services."""

from __future__ import annotations

import asyncio
import gc
import os
import time
import zlib

import bentoml
import numpy as np

# Compressing it needs 50 ms, during which zlib releases the GIL.
_NOISE = os.urandom(2**20)


@bentoml.service
class Healthy:
    """An API that only returns."""

    @bentoml.api
    async def double(self, x: int) -> int:
        return 2 * x


@bentoml.service
class HealthyBatches:
    """A model of a few ms, called with batches."""

    @bentoml.api(batchable=True)
    def double(self, xs: list[int]) -> list[int]:
        _compute(0.002)
        return [2 * x for x in xs]


@bentoml.service
class HealthyModel:
    """A model of a few ms in a thread."""

    @bentoml.api
    def double(self, x: int) -> int:
        _compute(0.004)
        return 2 * x


@bentoml.service(threads=4 * (os.cpu_count() or 1) + 4)
class Crowded:
    """One concurrent call of the model per client."""

    @bentoml.api
    def double(self, x: int) -> int:
        zlib.compress(_NOISE)
        return 2 * x


@bentoml.service
class LongWindow:
    """Batches that wait for more requests than there are clients."""

    def __init__(self) -> None:
        _wait_for_full_batches(0.05)

    @bentoml.api(batchable=True, max_batch_size=64)
    def double(self, xs: list[int]) -> list[int]:
        return [2 * x for x in xs]


@bentoml.service(workers=2)
class OneTakesAll:
    """Two workers, of which one can hardly accept a connection."""

    @bentoml.on_startup
    async def keep_out(self) -> None:
        if bentoml.server_context.worker_index == 2:
            loop = asyncio.get_running_loop()
            loop.call_later(1.0, _block, loop)

    @bentoml.api
    async def double(self, x: int) -> int:
        return 2 * x


def _compute(cpu_s: float) -> None:
    """Use CPU time of this thread, with the GIL released."""
    a = np.ones((160, 160))
    end_s = time.thread_time() + cpu_s
    while time.thread_time() < end_s:
        np.dot(a, a)


def _wait_for_full_batches(window_s: float) -> None:
    from bento_monitor.batching import BatchDispatcher
    from bento_monitor.serving_config import Batching

    for each in gc.get_objects():
        if isinstance(each, BatchDispatcher):
            each.configure(Batching(each.batching.max_batch_size, window_s * 1e3))


def _block(loop: asyncio.AbstractEventLoop) -> None:
    time.sleep(0.3)
    loop.call_later(0.001, _block, loop)
