"""A closed load: each connection sends its next request when it has the answer to the previous one."""

from __future__ import annotations

import asyncio
import time

from .client import LoadClient
from .connection import Connection

# Without a delay, a dead server would get connection attempts as fast as it refuses them.
_REOPEN_DELAY_S = 0.05


class ClosedLoad(LoadClient):
    """Keeps as many requests in flight as there are connections."""

    def on_free(self, connection: Connection) -> None:
        """Send the next request, unless the load is over."""
        self._check_end()
        if not self._is_over:
            self._send(connection, self._recorder.plan(time.monotonic_ns()))

    def on_lost(self, connection: Connection) -> None:
        """Open another connection in its place, unless the load is over."""
        self._connections.discard(connection)
        self._check_end()
        if not self._is_over:
            self._reopen(_REOPEN_DELAY_S if connection.has_failed else 0.0)

    def _begin(self) -> None:
        for connection in list(self._connections):
            self.on_free(connection)

    def _reopen(self, delay_s: float) -> None:
        task = self._loop.create_task(self._open_and_send(delay_s))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _open_and_send(self, delay_s: float) -> None:
        while not self._is_over:
            await asyncio.sleep(delay_s)
            try:
                connection = await self._open_connection()
            except OSError as error:
                delay_s = _REOPEN_DELAY_S
                self._check_end()
                if not self._is_over:
                    self._recorder.failed(self._recorder.plan(time.monotonic_ns()), type(error).__name__)
            else:
                self.on_free(connection)
                return
        self._check_finished()
