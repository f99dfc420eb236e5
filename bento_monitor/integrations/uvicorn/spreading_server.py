"""uvicorn's server with our acceptor, for several workers that accept from one socket."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from typing import Any

_LOGGER = logging.getLogger("bento_monitor")


def spread_connections(service: Any) -> None:
    """Make the server that this process starts take its share of the service's connections; idempotent."""
    import uvicorn

    if sys.platform != "win32" and _configured_workers(service) > 1 and not hasattr(uvicorn.Server, "accept_in_turn"):
        uvicorn.Server = _spreading(uvicorn.Server)  # type: ignore[misc]


def _configured_workers(service: Any) -> int:
    # From the configuration, since `service.config` lacks BENTOML_CONFIG_OVERRIDES.
    from bentoml._internal.configuration.containers import BentoMLContainer

    workers = BentoMLContainer.config.services.get()[service.name].get("workers") or 1
    return workers if isinstance(workers, int) else (os.cpu_count() or 1)


def _spreading(server: Any) -> Any:
    class SpreadingServer(server):  # type: ignore[misc]
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            if sockets is None or len(sockets) != 1:
                await super().startup(sockets=sockets)
                return
            # Without a socket, uvicorn starts the application but accepts no connection.
            await super().startup(sockets=[])
            try:
                self.accept_in_turn(sockets[0])
            except Exception as error:  # our failure must not fail the worker
                _LOGGER.warning("Connections are not spread over the workers: %s", error)
                await self.accept_as_uvicorn(sockets[0])

        def accept_in_turn(self, listener: socket.socket) -> None:
            from ...connections.acceptor import Acceptor
            from ...connections.counts import ConnectionCounts, counts_folder

            counts = ConnectionCounts(counts_folder(), os.fstat(listener.fileno()).st_ino)
            acceptor = Acceptor(listener, self.make_protocol, counts, tls=self.config.ssl)
            self.server_state.connections = acceptor.connections
            self.servers.append(acceptor)
            acceptor.start()

        async def accept_as_uvicorn(self, listener: socket.socket) -> None:
            options = {"ssl": self.config.ssl, "backlog": self.config.backlog}
            loop = asyncio.get_running_loop()
            self.servers.append(await loop.create_server(self.make_protocol, sock=listener, **options))

        def make_protocol(self) -> asyncio.BaseProtocol:
            protocol: asyncio.BaseProtocol = self.config.http_protocol_class(
                config=self.config, server_state=self.server_state, app_state=self.lifespan.state, _loop=None
            )
            return protocol

    return SpreadingServer
