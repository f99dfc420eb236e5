"""A legacy service: runners in their own processes, batched and not, and one embedded in the service."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator

import bentoml
import numpy as np
from bentoml.exceptions import InvalidArgument
from bentoml.io import JSON, NumpyNdarray, Text

from bento_monitor import monitored


class Model(bentoml.legacy.Runnable):
    SUPPORTED_RESOURCES = ("cpu",)
    SUPPORTS_CPU_MULTI_THREADING = True

    @bentoml.legacy.Runnable.method(batchable=True)
    def double(self, rows: np.ndarray) -> np.ndarray:
        time.sleep(0.002)
        if (rows < 0).any():
            raise InvalidArgument("a row is negative")
        return rows * 2

    @bentoml.legacy.Runnable.method
    def add(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        return left + right

    @bentoml.legacy.Runnable.method
    async def count(self, number: int) -> AsyncGenerator[str, None]:
        for each in range(number):
            yield f"{each},"


remote = bentoml.legacy.Runner(Model, name="remote_model", max_batch_size=8, max_latency_ms=20_000)
inside = bentoml.legacy.Runner(Model, name="inside_model", embedded=True)
svc = monitored(bentoml.legacy.Service("legacy_service", runners=[remote, inside]))


@svc.api(input=NumpyNdarray(), output=NumpyNdarray())
async def batched(rows: np.ndarray) -> np.ndarray:
    return await remote.double.async_run(rows)


@svc.api(input=NumpyNdarray(), output=NumpyNdarray())
def threaded(rows: np.ndarray) -> np.ndarray:
    return remote.double.run(rows)


@svc.api(input=JSON(), output=JSON(), route="/sums/add")
async def both(pair: dict[str, list[float]]) -> list[float]:
    added = await asyncio.gather(
        remote.add.async_run(np.array(pair["left"]), np.array(pair["right"])),
        inside.add.async_run(np.array(pair["left"]), np.array(pair["right"])),
    )
    assert (added[0] == added[1]).all()
    return added[0].tolist()


@svc.api(input=NumpyNdarray(), output=NumpyNdarray())
def embedded(rows: np.ndarray) -> np.ndarray:
    return inside.double.run(rows)


@svc.api(input=Text(), output=Text())
def stream(number: str) -> AsyncGenerator[str, None]:
    return remote.count.async_stream(int(number))


@svc.api(input=JSON(), output=JSON())
async def fails(_: object) -> None:
    raise ValueError("as it is meant to")
