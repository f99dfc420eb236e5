"""Readiness of sockets: when a request could be read, even if the event loop was busy with other requests.

The loop polls its sockets once per turn, and a turn runs everything that is ready: with sixteen connections, half of a
client's wait may lie before the read, where the server sees nothing. So between two requests of a turn, a second epoll
checks the sockets without reading them: it takes some microseconds, and the order of the loop's work does not change.
(Serving one request per turn of the loop would show the wait too, but took 30 us more per request.)
"""

from __future__ import annotations

import ctypes
import logging
import platform
import select
from collections.abc import Callable

# Shortest time between two checks; a check costs a hundredth of it.
_INTERVAL_NS = 200_000
_MAX_EVENTS = 64
_PACKED, _ALIGNED = 1, 0
_LOGGER = logging.getLogger("bento_monitor")


class _Event(ctypes.Structure):
    # The kernel's layout of `struct epoll_event`: packed only on x86-64.
    _pack_ = _PACKED if platform.machine() == "x86_64" else _ALIGNED
    _fields_ = (("events", ctypes.c_uint32), ("fd", ctypes.c_int32), ("unused", ctypes.c_uint32))


class Arrivals:
    """The connections of one event loop. Without epoll (on systems other than Linux), nothing is known before the read.

    `take(fd, read_ns)` returns when the connection that is read at `read_ns` was first seen to be ready.
    """

    def __init__(self) -> None:
        self._epoll: select.epoll | None = None
        self._is_off = not hasattr(select, "epoll")
        self._ready_ns: dict[int, int] = {}
        self.take: Callable[[int, int], int] = self._ready_ns.pop
        self.watched = 0
        self._last_look_ns = 0

    def watch(self, fd: int) -> None:
        """Start to watch a new connection."""
        if self._is_off:
            return
        try:
            if self._epoll is None:
                self._open()
            assert self._epoll is not None
            self._epoll.register(fd, select.EPOLLIN | select.EPOLLET)
            self.watched += 1
        except Exception as error:
            self._give_up(error)

    def forget(self, fd: int) -> None:
        """Stop watching a connection that is about to be closed."""
        self._ready_ns.pop(fd, None)
        if self._epoll is None:
            return
        try:
            self._epoll.unregister(fd)
        except (OSError, ValueError):
            pass  # closed already: the kernel has removed it
        self.watched -= 1

    def look(self, now_ns: int) -> None:
        """Note the connections that became ready since the last check, unless that was less than 0.2 ms ago."""
        if now_ns - self._last_look_ns < _INTERVAL_NS or self.watched < 2:
            return
        self._last_look_ns = now_ns
        found = self._wait(self._fd, self._events, _MAX_EVENTS, 0)
        for index in range(found):
            self._ready_ns.setdefault(self._events[index].fd, now_ns)

    def _open(self) -> None:
        self._epoll = select.epoll()
        self._fd = self._epoll.fileno()
        self._events = (_Event * _MAX_EVENTS)()
        # `PyDLL` keeps the GIL: `select.epoll.poll` would release it to another thread for each check.
        self._wait = ctypes.PyDLL(None).epoll_wait

    def _give_up(self, error: Exception) -> None:
        self._is_off = True
        self.watched = 0
        self._epoll = None
        self._ready_ns.clear()
        _LOGGER.warning("Requests are timed from their read only: sockets cannot be watched (%s).", error)
