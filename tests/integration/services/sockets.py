"""A service with a mounted application that serves WebSockets."""

import bentoml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from bento_monitor import monitored


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(text[::-1])


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


@monitored
@bentoml.service
@bentoml.asgi_app(Starlette(routes=[WebSocketRoute("/echo", echo), Route("/hello", hello)]), path="/mounted")
class Sockets:
    @bentoml.api
    async def noop(self, x: int = 0) -> int:
        return x
