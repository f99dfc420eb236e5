"""The part that closed and open loads share: connections, timeouts and the end of a load."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod

from ...errors import MeasurementError
from ...machine.cpu_time import read_machine_time
from .connection import Connection
from .load_spec import LoadSpec
from .recorder import Recorder
from .requests import RequestBytes
from .result import LoadResult

_SWEEP_INTERVAL_S = 0.1


class LoadClient(ABC):
    """Runs one load on one event loop."""

    def __init__(self, spec: LoadSpec, requests: RequestBytes, recorder: Recorder) -> None:
        self._spec = spec
        self._requests = requests
        self._recorder = recorder
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._finished: asyncio.Future[None] = self._loop.create_future()
        self._started_ns = self._started_wall_ns = 0
        self._end_ns: int | None = None
        self._is_over = False

    async def connect(self) -> None:
        """Open the first connections.

        Raises:
            MeasurementError: nothing listens at the address.
        """
        try:
            await asyncio.gather(*(self._open_connection() for _ in range(self._spec.connections)))
        except OSError as error:
            address = f"{self._spec.host}:{self._spec.port}"
            raise MeasurementError(f"No load can be sent to {address}: {error}. Is the server running?") from error

    async def run(self) -> LoadResult:
        """Send everything and wait for the last answer."""
        self._started_wall_ns, self._started_ns = time.time_ns(), time.monotonic_ns()
        started_cpu_s, machine_before = time.process_time(), read_machine_time()
        if self._spec.duration_s is not None:
            length_s = self._spec.warmup_s + self._spec.duration_s
            self._end_ns = self._started_ns + round(length_s * 1e9)
            self._loop.call_later(length_s, self._check_end)
        self._loop.call_later(_SWEEP_INTERVAL_S, self._sweep)
        self._begin()
        await self._finished
        if self._end_ns is None:
            self._end_ns = self._recorder.last_done_ns
        return self._recorder.result(
            started_ns=self._started_ns,
            started_wall_ns=self._started_wall_ns,
            warmup_s=self._spec.warmup_s,
            end_ns=self._end_ns,
            cpu_s=time.process_time() - started_cpu_s,
            machine=read_machine_time().since(machine_before),
        )

    def stop(self) -> None:
        """Plan no more requests; planned requests are still sent and awaited."""
        now = time.monotonic_ns()
        if self._end_ns is None or now < self._end_ns:
            self._end_ns = now
        self._check_end()

    @abstractmethod
    def on_free(self, connection: Connection) -> None:
        """Handle a connection that has received its response."""

    @abstractmethod
    def on_lost(self, connection: Connection) -> None:
        """Handle a connection that is closed."""

    @abstractmethod
    def _begin(self) -> None:
        """Send the first requests."""

    def _check_end(self) -> None:
        count = self._spec.request_count
        is_all_planned = count is not None and self._recorder.planned >= count
        if is_all_planned or (self._end_ns is not None and time.monotonic_ns() >= self._end_ns):
            self._is_over = True
        self._check_finished()

    def _check_finished(self) -> None:
        if self._is_over and self._recorder.done == self._recorder.planned and not self._finished.done():
            self._finished.set_result(None)

    async def _open_connection(self) -> Connection:
        async with asyncio.timeout(self._spec.timeout_s):
            _, connection = await self._loop.create_connection(
                lambda: Connection(self, self._recorder), self._spec.host, self._spec.port
            )
        self._connections.add(connection)
        return connection

    def _send(self, connection: Connection, request: int) -> None:
        connection.send(request, self._requests.of(request, self._recorder.body_of(request)))

    def _sweep(self) -> None:
        oldest_ns = time.monotonic_ns() - round(self._spec.timeout_s * 1e9)
        for connection in list(self._connections):
            if connection.is_busy and connection.sent_ns < oldest_ns:
                connection.abort("Timeout")
        self._loop.call_later(_SWEEP_INTERVAL_S, self._sweep)
