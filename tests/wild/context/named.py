"""Routes of every kind: with parameters, under a prefix, mounted, tasks."""

from __future__ import annotations

from typing import Any

import bentoml
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route


async def page(_request: Any) -> PlainTextResponse:
    return PlainTextResponse("page")


def wsgi_app(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("content-type", "text/plain")])
    return [b"wsgi"]


items = Starlette(routes=[Route("/items/{item_id}", page)])
nested = Starlette(routes=[Mount("/deep/{name}", routes=[Route("/page/{number:int}", page)])])


@bentoml.service(path_prefix="/models")
class Named:
    @bentoml.api(route="/users/{uid}/predict")
    def predict(self, x: int) -> int:
        return x

    @bentoml.api
    def plain(self, x: int) -> int:
        return x

    @bentoml.task
    def job(self, x: int) -> int:
        return x


Named.mount_asgi_app(items, path="/v1")
Named.mount_asgi_app(nested, path="/nested")
Named.mount_wsgi_app(wsgi_app, path="/wsgi")
