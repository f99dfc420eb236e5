"""A service whose requests end in every possible way."""

import asyncio
import time

import bentoml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


@bentoml.service
class Inner:
    @bentoml.api
    async def double(self, x: int = 1) -> int:
        return 2 * x


@bentoml.service(traffic={"timeout": 1}, threads=2)
@bentoml.asgi_app(Starlette(routes=[Route("/hello", hello, methods=["POST"])]), path="/mounted")
class Endings:
    inner = bentoml.depends(Inner)

    @bentoml.api
    async def wait(self, seconds: float = 0.0) -> float:
        await asyncio.sleep(seconds)
        return seconds

    @bentoml.api
    def wait_in_thread(self, seconds: float = 0.0) -> float:
        time.sleep(seconds)
        return seconds

    @bentoml.api
    async def through(self, x: int = 1) -> int:
        return await self.inner.double(x)

    @bentoml.task
    def later(self, x: int = 1) -> int:
        return x

    @bentoml.api(batchable=True, max_batch_size=2, max_latency_ms=300)
    def slowly(self, xs: list[int]) -> list[int]:
        time.sleep(0.2)
        return xs
