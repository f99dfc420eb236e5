"""A service that makes spans without a tracer provider of its author."""

from collections.abc import AsyncGenerator

import bentoml
from opentelemetry import trace

tracer = trace.get_tracer("of the author")


@bentoml.service
class OwnSpans:
    @bentoml.api
    def sync(self, x: int = 1) -> int:
        outer = tracer.start_as_current_span("outer", attributes={"kind": "sync", "sizes": [1, 2]})
        with outer, tracer.start_as_current_span("inner"):
            return x

    @bentoml.api
    async def fails(self, secret: str = "") -> int:
        with tracer.start_as_current_span("outer"):
            raise RuntimeError(secret)

    @bentoml.api
    async def stream(self, x: int = 1) -> AsyncGenerator[str, None]:
        for number in range(x):
            with tracer.start_as_current_span("piece"):
                piece = str(number)
            yield piece

    @bentoml.api
    async def many(self, x: int = 1) -> int:
        for _ in range(x):
            with tracer.start_as_current_span("one of many"):
                pass
        raise RuntimeError

    @bentoml.api(batchable=True)
    def batched(self, xs: list[int]) -> list[int]:
        with tracer.start_as_current_span("pad"):
            if min(xs) < 0:
                raise ValueError
            return xs
