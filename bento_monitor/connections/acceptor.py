"""Accepting connections from a socket that several workers share, in turn with the other workers."""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
import struct
import sys
from collections.abc import Callable
from typing import Any

from ..resilience.circuit_breaker import CircuitBreaker
from .counts import ConnectionCounts
from .turn import Turn

_RETRY_S = 0.001
# Pause of a worker between two shares of a burst.
_SETTLE_S = 0.005
_BURST = 8
# As in asyncio: an immediate retry would spin, for example without free file descriptors.
_AFTER_ERROR_S = 1.0
# So that requests are served between accepts.
_ACCEPTS_AT_ONCE = 64
# `tcpi_unacked` of Linux's `tcp_info`: for a listening socket, the number of connections that wait to be accepted.
_WAITING_OFFSET, _TCP_INFO_BYTES = 24, 28


class ConnectionSet(set[Any]):
    """A set of connections that calls back when it changes."""

    def __init__(self, changed: Callable[[], None]) -> None:
        super().__init__()
        self._changed = changed

    def add(self, connection: Any) -> None:
        """Add a connection."""
        super().add(connection)
        self._changed()

    def discard(self, connection: Any) -> None:
        """Remove a connection if it is there."""
        super().discard(connection)
        self._changed()

    def remove(self, connection: Any) -> None:
        """Remove a connection that is there."""
        super().remove(connection)
        self._changed()


class Acceptor:
    """Replaces an `asyncio.Server`. Without waiting connections, it needs no timer and no polling."""

    def __init__(
        self,
        listener: socket.socket,
        make_protocol: Callable[[], asyncio.BaseProtocol],
        counts: ConnectionCounts,
        *,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Create an acceptor for a listening socket; `start` begins to accept. `close` also closes `counts`."""
        self.connections = ConnectionSet(self._publish)
        self._listener = listener
        self._make_protocol = make_protocol
        self._counts = counts
        self._turn = Turn(counts)
        self._breaker = CircuitBreaker("Sharing connections among workers")
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._is_listening = False
        self._timer: asyncio.TimerHandle | None = None
        # Accepted connections that are not in `connections` yet: first the socket, then the protocol.
        self._opening: set[Any] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._count_waiting = _waiting_counter(listener)

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The listening socket, as `asyncio.Server` has it."""
        return (self._listener,)

    def start(self) -> None:
        """Start accepting."""
        self._listener.setblocking(False)
        self._listen()

    def close(self) -> None:
        """Stop accepting. The socket stays open, for this process and for the others."""
        self._stop_watching()
        self._counts.close()

    async def wait_closed(self) -> None:
        """Return at once: the server itself waits for its connections."""

    def _look(self) -> None:
        self._timer = None
        pause_s = self._take()
        if pause_s is None:
            self._listen()
        else:
            self._stop_watching()
            self._timer = self._loop.call_later(pause_s, self._look)

    def _take(self) -> float | None:
        """Accept this worker's share of the waiting connections.

        Returns the seconds until the next check; None to wait for the event loop to report the socket as ready.
        """
        waiting = self._count_waiting()
        if waiting:
            share = self._share_of(waiting)
            if not share:
                return _RETRY_S
        else:
            self._turn.rest()
            share = 1  # another worker accepted it, or the kernel does not count the reported connection
        for _ in range(min(share, _ACCEPTS_AT_ONCE)):
            try:
                accepted, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return None
            except OSError as error:
                self._report("A connection cannot be accepted; the next attempt is in 1 s", error)
                return _AFTER_ERROR_S
            self._open(accepted)
        # The rest is left to other workers, or to the next turn of the event loop.
        return _SETTLE_S if waiting >= _BURST else None

    def _share_of(self, waiting: int) -> int:
        """Return how many waiting connections to accept now; all of them while turns are switched off."""
        if not self._breaker.is_open:
            try:
                return self._turn.how_many(self._held(), waiting)
            except Exception as error:
                self._breaker.record(error)
        return waiting

    def _open(self, accepted: socket.socket) -> None:
        self._breaker.run(self._counts.note_accepted)
        accepted.setblocking(False)
        self._opening.add(accepted)
        self._publish()
        task = self._loop.create_task(self._connect(accepted))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, accepted: socket.socket) -> None:
        key: Any = accepted

        def make_protocol() -> asyncio.BaseProtocol:
            nonlocal key
            self._opening.discard(key)
            key = self._make_protocol()
            self._opening.add(key)
            return key  # type: ignore[no-any-return]

        try:
            await self._loop.connect_accepted_socket(make_protocol, accepted, ssl=self._tls)
        except OSError:
            # The client left, or the handshake failed: not an error of the server.
            accepted.close()
        except Exception as error:
            accepted.close()
            self._report("A connection cannot be opened", error)
        finally:
            self._opening.discard(key)
            self._publish()

    def _held(self) -> int:
        return len(self.connections) + sum(1 for each in self._opening if each not in self.connections)

    def _publish(self) -> None:
        self._breaker.run(lambda: self._counts.publish(self._held()))

    def _listen(self) -> None:
        if not self._is_listening:
            self._is_listening = True
            self._loop.add_reader(self._listener.fileno(), self._look)

    def _stop_watching(self) -> None:
        if self._is_listening:
            self._is_listening = False
            self._loop.remove_reader(self._listener.fileno())
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _report(self, message: str, error: Exception) -> None:
        self._loop.call_exception_handler({"message": message, "exception": error, "socket": self._listener})


def _waiting_counter(listener: socket.socket) -> Callable[[], int]:
    """Return a function that counts waiting connections; it returns 0 or 1 if the kernel reports no number."""
    if sys.platform == "linux" and listener.family in (socket.AF_INET, socket.AF_INET6):

        def count_waiting() -> int:
            info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
            return int(struct.unpack_from("I", info, _WAITING_OFFSET)[0])

        return count_waiting
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    return lambda: len(poll.poll(0))
