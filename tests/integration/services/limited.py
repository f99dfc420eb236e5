"""Services with a short timeout and low concurrency, and with limits of bento-monitor only."""

import asyncio
import time

import bentoml


@bentoml.service(traffic={"timeout": 1, "max_concurrency": 2}, threads=2)
class Limited:
    @bentoml.api
    async def wait(self, seconds: float = 0.0) -> float:
        await asyncio.sleep(seconds)
        return seconds

    @bentoml.api
    def wait_in_thread(self, seconds: float = 0.0) -> float:
        time.sleep(seconds)
        return seconds


@bentoml.service(traffic={"timeout": 20})
class Guarded:
    """A service whose own limits are not reached before the monitor's."""

    @bentoml.api
    async def echo(self, text: str) -> str:
        return text
