"""A service with an independent clock at its connections: first byte read and last byte written, by trace."""

import re
import time
from typing import Any

import bentoml
import uvicorn
from uvicorn.protocols.http import auto

from bento_monitor import monitored

_TRACE_ID = re.compile(rb"traceparent: 00-([0-9a-f]{32})")
seen: dict[str, list[int]] = {}


class ClockedTransport:
    """The transport of a connection: bytes written here are on the wire."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self.trace_id: str | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: Any) -> None:
        self._transport.write(data)
        if self.trace_id is not None:
            seen[self.trace_id][1:] = [time.monotonic_ns()]


def clocked(protocol: Any) -> Any:
    class ClockedProtocol(protocol):  # type: ignore[misc]
        def connection_made(self, transport: Any) -> None:
            self.clocked_transport = ClockedTransport(transport)
            super().connection_made(self.clocked_transport)

        def data_received(self, data: bytes) -> None:
            read_ns = time.monotonic_ns()
            found = _TRACE_ID.search(data)
            if found is not None:
                self.clocked_transport.trace_id = found[1].decode()
                seen[self.clocked_transport.trace_id] = [read_ns]
            super().data_received(data)

    return ClockedProtocol


def clock_servers() -> None:
    """Put the clock around the server's protocol, also around ours."""
    load = uvicorn.Config.load

    def load_clocked(self: uvicorn.Config) -> None:
        auto.AutoHTTPProtocol = clocked(auto.AutoHTTPProtocol)
        load(self)

    uvicorn.Config.load = load_clocked  # type: ignore[method-assign]


clock_servers()


@monitored
@bentoml.service
class Clocked:
    @bentoml.api
    async def asynchronous(self, x: int = 1) -> int:
        return x

    @bentoml.api
    def sync(self, x: int = 1) -> int:
        return x

    @bentoml.api(batchable=True)
    def batched(self, xs: list[int]) -> list[int]:
        return xs

    @bentoml.api
    async def clock(self) -> dict[str, list[int]]:
        """Return, by trace id, when the request's first byte was read and the response's last byte was written."""
        return seen
