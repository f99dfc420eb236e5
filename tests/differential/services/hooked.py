"""A plain BentoML service that calls another one and itself and has a task, in two workers."""

from __future__ import annotations

import bentoml


@bentoml.service
class Called:
    @bentoml.api
    async def double(self, x: int) -> int:
        if x < 0:
            raise ValueError("as it is meant to")
        return 2 * x

    @bentoml.api(batchable=True)
    def triple(self, xs: list[int]) -> list[int]:
        return [3 * x for x in xs]


@bentoml.service(workers=2)
class Hooked:
    called = bentoml.depends(Called)

    @bentoml.api
    async def calls(self, x: int) -> int:
        return await self.called.to_async.double(x)

    @bentoml.api
    def calls_in_thread(self, x: int) -> list[int]:
        return self.called.to_sync.triple([x])

    @bentoml.api
    async def itself(self, x: int) -> int:
        return 1 + await self.to_async.calls(x)

    @bentoml.task
    def square(self, x: int) -> int:
        if x < 0:
            raise ValueError("as it is meant to")
        return x * x
