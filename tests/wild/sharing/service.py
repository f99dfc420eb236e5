"""APIs that share models and call one another; outputs identify the model, as in `project/`."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from typing import Any

import bentoml
import numpy as np
import torch
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from bento_monitor import MonitoredRunner, monitored

Rows = list[list[float]]


class Scale(torch.nn.Module):
    """`(batch, 2)` times a weight."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([weight]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.weight


async def mounted(request: Request) -> JSONResponse:
    body = await request.json()
    return JSONResponse(service().scaled(body["x"]))


app = Starlette(routes=[Route("/mounted", mounted, methods=["POST"])])


def service() -> Any:
    return bentoml.get_current_service()


class Scaling:
    """The two models of every service of this file."""

    def __init__(self) -> None:
        found = np.load("weights.npz")
        self.embedder = MonitoredRunner(Scale(float(found["embed"])).eval(), name="embed")
        self.reranker = MonitoredRunner(Scale(float(found["rerank"])).eval(), name="rerank")

    def scaled(self, x: Rows) -> Rows:
        with torch.inference_mode():
            return self.embedder(torch.tensor(x)).tolist()


@monitored
@bentoml.asgi_app(app)
@bentoml.service(threads=64)  # more than concurrent requests: one that calls another holds two
class Wild(Scaling):
    @bentoml.api(batchable=True)
    def embed(self, x: Rows) -> Rows:
        return self.scaled(x)

    @bentoml.api
    def search(self, x: Rows) -> Rows:
        return self.scaled(x)

    @bentoml.api
    async def search_async(self, x: Rows) -> Rows:
        return self.scaled(x)

    @bentoml.api
    def rerank(self, x: Rows) -> Rows:
        with torch.inference_mode():
            return self.reranker(torch.tensor(x)).tolist()

    @bentoml.api
    def both(self, x: Rows) -> Rows:
        """Return the input times both models' factors."""
        with torch.inference_mode():
            return self.reranker(self.embedder(torch.tensor(x))).tolist()

    @bentoml.api
    def parts(self, x: Rows) -> Rows:
        """Call one model on several parts of a request; all must have the same factor."""
        parts = [self.scaled([row]) for row in x for _ in range(3)] + [self.scaled(x)]
        assert len({round(part[0][0] / x[0][0], 3) for part in parts}) == 1, parts
        return parts[-1]

    @bentoml.api
    async def calls_embed(self, x: Rows) -> Rows:
        return await self.to_async.embed(x)

    @bentoml.api
    async def calls_embed_twice(self, x: Rows) -> Rows:
        first, second = await asyncio.gather(self.to_async.embed(x), self.to_async.embed(x))
        assert first == second
        return first

    @bentoml.api
    def calls_embed_from_a_thread(self, x: Rows) -> Rows:
        return self.embed(x)

    @bentoml.api
    async def calls_search(self, x: Rows) -> Rows:
        return await self.to_async.search(x)

    @bentoml.api
    def calls_search_from_a_thread(self, x: Rows) -> Rows:
        return self.search(x)

    @bentoml.api
    def calls_the_function(self, x: Rows) -> Rows:
        return self.embed.local(x)

    @bentoml.api
    def in_a_thread_of_its_own(self, x: Rows) -> Rows:
        return in_thread(lambda: self.scaled(x))

    @bentoml.api
    def in_a_thread_with_its_context(self, x: Rows) -> Rows:
        return in_thread(lambda: self.scaled(x), contextvars.copy_context())


@monitored
@bentoml.asgi_app(app)
@bentoml.service
class OneApi(Scaling):
    """A service with one API, and a route that is not an API."""

    @bentoml.api
    def embed(self, x: Rows) -> Rows:
        return in_thread(lambda: self.scaled(x))


def in_thread(work: Callable[[], Rows], context: contextvars.Context | None = None) -> Rows:
    found: list[Rows] = []
    thread = threading.Thread(target=lambda: found.append(work() if context is None else context.run(work)))
    thread.start()
    thread.join()
    return found[0]
