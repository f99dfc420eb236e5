"""A simulated connection to uvicorn, which records every write."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn import Config
from uvicorn.server import ServerState


class Line(asyncio.Transport):
    """A connection to a server: the writes to it, and whether it was closed."""

    def __init__(self, server: PlayedServer) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.is_closed = False
        self._server = server
        self.protocol = server.protocol(server.config, server.state, {})
        self.protocol.connection_made(self)

    def feed(self, data: bytes) -> None:
        self.protocol.data_received(data)

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    def close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    def is_closing(self) -> bool:
        return self.is_closed

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    @property
    def sent(self) -> bytes:
        return b"".join(self.writes)

    @property
    def statuses(self) -> list[int]:
        return [int(part[:3]) for part in self.sent.split(b"HTTP/1.1 ")[1:]]


class PlayedServer:
    """The parts of a worker's server that its protocol needs."""

    def __init__(self, protocol: Any, application: Any = None) -> None:
        self.served = 0
        self.config = Config(app=application or self.answer, interface="asgi3", log_config=None, lifespan="off")
        self.config.load()
        self.state = ServerState()
        self.protocol = protocol

    async def answer(self, _scope: Any, _receive: Any, send: Any) -> None:
        self.served += 1
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})
