"""A service of two workers that return their process id."""

import asyncio
import os

import bentoml


@bentoml.service(workers=2)
class Several:
    @bentoml.api
    async def pid(self) -> int:
        return os.getpid()

    @bentoml.api
    async def wait(self, seconds: float = 0.0) -> int:
        await asyncio.sleep(seconds)
        return os.getpid()
