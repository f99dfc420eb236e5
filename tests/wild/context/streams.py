"""Streams that break midway, each in its own way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Generator
from typing import Any

import bentoml
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route


async def broken_page(_request: Any) -> StreamingResponse:
    async def parts() -> AsyncGenerator[str, None]:
        yield "one,"
        await asyncio.sleep(0.01)
        raise ValueError("broken")

    return StreamingResponse(parts())


@bentoml.service(threads=4)
class Streams:
    @bentoml.api
    async def on_loop(self) -> AsyncGenerator[str, None]:
        for number in range(3):
            await asyncio.sleep(0.01)
            yield f"{number},"
        raise ValueError("broken")

    @bentoml.api
    def in_thread(self) -> Generator[str, None, None]:
        for number in range(3):
            time.sleep(0.01)
            yield f"{number},"
        raise ValueError("broken")

    @bentoml.api
    async def at_once(self) -> AsyncGenerator[str, None]:
        if time.time() > 0:
            raise ValueError("broken")
        yield ""

    @bentoml.api
    async def whole(self) -> AsyncGenerator[str, None]:
        for number in range(3):
            await asyncio.sleep(0.01)
            yield f"{number},"


Streams.mount_asgi_app(Starlette(routes=[Route("/broken", broken_page, methods=["POST"])]), path="/pages")
