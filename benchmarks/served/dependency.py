"""A service that calls another one, in its own process, for each request."""

from __future__ import annotations

import bentoml


@bentoml.service
class Inner:
    @bentoml.api
    async def double(self, x: int) -> int:
        return 2 * x


@bentoml.service
class Outer:
    inner = bentoml.depends(Inner)

    @bentoml.api
    async def ask(self, x: int) -> int:
        return await self.inner.to_async.double(x)
