"""Uses a service's application in this process, as a test does, and prints the outcome: `in_process.py stock|ours`."""

from __future__ import annotations

import gc
import json
import sys
import threading
from typing import Any, ClassVar

import bentoml
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.testclient import TestClient

from bento_monitor import monitored


@bentoml.service
class Small:
    @bentoml.api
    def plain(self, x: int) -> int:
        return x

    @bentoml.api(batchable=True)
    def batched(self, xs: list[int]) -> list[int]:
        return xs

    @bentoml.api
    async def on_loop(self, x: int) -> int:
        return x


def state() -> Any:
    names = sorted(thread.name for thread in threading.enumerate() if thread.name != "AnyIO worker thread")
    return [list(gc.get_threshold()), gc.get_freeze_count(), names, len(gc.callbacks)]


def answers(client: Any) -> list[Any]:
    apis = {"plain": {"x": 1}, "on_loop": {"x": 2}, "batched": {"xs": [3]}}
    return [client.post(f"/{api}", json=body).text for api, body in apis.items()]


class Noting:
    """A middleware of the user, added to the application."""

    seen: ClassVar[list[str]] = []

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        Noting.seen.append(scope["type"])
        await self._app(scope, receive, send)


def main(arm: str) -> None:
    service = monitored(Small) if arm == "ours" else Small
    before = state()
    app: Any = service.to_asgi()
    app.state.mine = 7
    app.add_middleware(Noting)
    app.add_route("/own", lambda request: PlainTextResponse(str(request.app.state.mine)))
    has = [hasattr(app, name) for name in ("router", "routes", "state", "mount", "exception_handlers", "url_path_for")]
    with TestClient(app) as client:
        found = [*answers(client), client.get("/own").text]
    seen = list(Noting.seen)
    left = state()
    with TestClient(app) as client:
        again = answers(client)[:2]
    with TestClient(Starlette(routes=[Mount("/inner", app)])) as client:
        mounted = client.post("/inner/on_loop", json={"x": 5}).status_code
    print(
        json.dumps(
            {
                "has": has,
                "found": found,
                "seen": seen,
                "is_left_as_it_was": left == before and state() == before,
                "again": again,
                "mounted": mounted,
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
