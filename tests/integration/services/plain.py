"""A plain BentoML service, with an API of every kind that matters for traces."""

from collections.abc import AsyncGenerator
from http import HTTPStatus

import bentoml
from bentoml.exceptions import BentoMLException


@bentoml.service
class Plain:
    @bentoml.api
    def sync(self, x: int = 1) -> int:
        return x

    @bentoml.api
    async def asynchronous(self, x: int = 1) -> int:
        return x

    @bentoml.api
    async def stream(self, x: int = 1) -> AsyncGenerator[str, None]:
        for number in range(x):
            yield str(number)

    @bentoml.api(batchable=True)
    def batched(self, xs: list[int]) -> list[int]:
        return xs

    @bentoml.api
    def fails(self, x: int = 1) -> int:
        raise RuntimeError("the user's own error")

    @bentoml.api
    def refuses(self, x: int = 1) -> int:
        raise BentoMLException("not for you", error_code=HTTPStatus.FORBIDDEN)
