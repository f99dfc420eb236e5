"""An open load: requests are sent at planned times, however slow the answers are."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice, takewhile

from .arrivals import arrival_times, read_recording
from .client import LoadClient
from .connection import Connection
from .load_spec import LoadSpec
from .pacer import Pacer
from .recorder import Recorder
from .requests import RequestBytes

# Servers close idle connections after a few seconds (BentoML: 5); a request sent at that moment is lost.
_MAX_IDLE_NS = 2_000_000_000


class OpenLoad(LoadClient):
    """A request without a free connection opens one; at `max_connections` it waits, which counts as latency."""

    def __init__(self, spec: LoadSpec, requests: RequestBytes, recorder: Recorder) -> None:
        super().__init__(spec, requests, recorder)
        self._offsets: Iterable[int]
        if spec.recording is not None:
            self._offsets = read_recording(spec.recording)
        else:
            assert spec.rate_rps is not None
            self._offsets = arrival_times(spec.arrivals, spec.rate_rps, spec.seed)

    def on_free(self, connection: Connection) -> None:
        """Send a waiting request, or keep the connection for the next request."""
        if self._waiting:
            self._send(connection, self._waiting.popleft())
            return
        connection.free_since_ns = time.monotonic_ns()
        self._free.append(connection)
        self._check_finished()

    def on_lost(self, connection: Connection) -> None:
        """Drop the connection; open another if requests wait for one."""
        self._connections.discard(connection)
        self._open_if_needed()
        self._check_finished()

    def stop(self) -> None:
        """Plan no more requests; the pacer may still have to send those that were planned up to now."""
        super().stop()
        if self._end_ns is not None:
            self._pacer.stop(self._end_ns)

    def _begin(self) -> None:
        self._waiting: deque[int] = deque()
        self._free = list(self._connections)
        self._opening = 0
        now = time.monotonic_ns()
        for connection in self._free:
            connection.free_since_ns = now
        self._pacer = Pacer(self._planned_times(), self._loop, self._dispatch, self._end)
        self._pacer.start()

    def _planned_times(self) -> Iterator[int]:
        times: Iterator[int] = (self._started_ns + offset for offset in self._offsets)
        if self._end_ns is not None:
            end_ns = self._end_ns
            times = takewhile(lambda planned: planned < end_ns, times)
        return islice(times, self._spec.request_count)

    def _check_end(self) -> None:
        # Only the pacer knows when the last planned request was handed over.
        self._check_finished()

    def _end(self) -> None:
        self._is_over = True
        self._check_finished()

    def _dispatch(self, planned_ns: int) -> None:
        request = self._recorder.plan(planned_ns)
        connection = self._take_free()
        if connection is not None:
            self._send(connection, request)
            return
        self._waiting.append(request)
        self._open_if_needed()

    def _take_free(self) -> Connection | None:
        # The connection freed last: surplus connections stay idle, and are closed here before the server closes them.
        while self._free:
            connection = self._free.pop()
            if connection.is_usable and time.monotonic_ns() - connection.free_since_ns < _MAX_IDLE_NS:
                return connection
            connection.abort("Idle")
        return None

    def _open_if_needed(self) -> None:
        if self._opening < len(self._waiting) and len(self._connections) + self._opening < self._spec.max_connections:
            self._opening += 1
            task = self._loop.create_task(self._open())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _open(self) -> None:
        try:
            connection = await self._open_connection()
        except OSError as error:
            self._opening -= 1
            # Each failed attempt fails one request: the one waiting longest, for which the attempt was made.
            if self._waiting:
                self._recorder.failed(self._waiting.popleft(), type(error).__name__)
            self._open_if_needed()
            self._check_finished()
        else:
            self._opening -= 1
            self.on_free(connection)
