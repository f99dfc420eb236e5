"""A service that calls another one in every possible way."""

import asyncio
from collections.abc import AsyncGenerator

import bentoml


@bentoml.service(workers=2, threads=24)
class Called:
    @bentoml.api
    async def double(self, x: int) -> int:
        await asyncio.sleep(0.005)
        return 2 * x

    @bentoml.api
    def triple(self, x: int) -> int:
        return 3 * x

    @bentoml.api
    async def count(self, x: int) -> AsyncGenerator[str, None]:
        for number in range(x):
            await asyncio.sleep(0.02)
            yield f"{number},"


@bentoml.service(threads=24)
class Calling:
    called = bentoml.depends(Called)

    @bentoml.api
    async def double(self, x: int) -> int:
        return await self.called.double(x)

    @bentoml.api
    def triple(self, x: int) -> int:
        return self.called.triple(x)

    @bentoml.api
    async def count(self, x: int) -> str:
        return "".join([part async for part in self.called.count(x)])
