"""When a request's bytes were ready to be read, though the loop was busy with others.

The loop polls its sockets once a turn, and a turn runs whatever is ready: with sixteen connections, half of what a
client waits for may lie before the read, where the server sees nothing. So between two requests of a turn the sockets
are looked at, by an epoll of our own, which takes no bytes: some microseconds, and the loop does its work in the same
order. (One request a turn of the loop would show it too, and took 30 us more of each.)
"""

from __future__ import annotations

import ctypes
import logging
import platform
import select
from collections.abc import Callable

# Two looks are at least so far apart: what a look costs is a hundredth of it.
_INTERVAL_NS = 200_000
_MOST_EVENTS = 64
_PACKED, _ALIGNED = 1, 0
_LOGGER = logging.getLogger("bento_monitor")


class _Event(ctypes.Structure):
    # As the kernel lays out `struct epoll_event`: packed on x86-64 alone.
    _pack_ = _PACKED if platform.machine() == "x86_64" else _ALIGNED
    _fields_ = (("events", ctypes.c_uint32), ("fd", ctypes.c_int32), ("unused", ctypes.c_uint32))


class Arrivals:
    """The connections of one loop. Without an epoll, as on other systems than Linux, nothing is seen before the read.

    `take(fd, read_ns)`: a connection is read at `read_ns`; returns when it was first seen to be ready.
    """

    def __init__(self) -> None:
        self._epoll: select.epoll | None = None
        self._is_off = not hasattr(select, "epoll")
        self._ready_ns: dict[int, int] = {}
        self.take: Callable[[int, int], int] = self._ready_ns.pop
        self.watched = 0
        self._last_look_ns = 0

    def watch(self, fd: int) -> None:
        """A connection was made."""
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
        """A connection is about to be closed."""
        self._ready_ns.pop(fd, None)
        if self._epoll is None:
            return
        try:
            self._epoll.unregister(fd)
        except (OSError, ValueError):
            pass  # closed already: the kernel has forgotten it
        self.watched -= 1

    def look(self, now_ns: int) -> None:
        """Note which connections have become ready since the last look, if that is not just now."""
        if now_ns - self._last_look_ns < _INTERVAL_NS or self.watched < 2:
            return
        self._last_look_ns = now_ns
        found = self._wait(self._fd, self._events, _MOST_EVENTS, 0)
        for index in range(found):
            self._ready_ns.setdefault(self._events[index].fd, now_ns)

    def _open(self) -> None:
        self._epoll = select.epoll()
        self._fd = self._epoll.fileno()
        self._events = (_Event * _MOST_EVENTS)()
        # By a call that keeps the interpreter: `select.epoll.poll` would let another thread have it, for a look.
        self._wait = ctypes.PyDLL(None).epoll_wait

    def _give_up(self, error: Exception) -> None:
        self._is_off = True
        self.watched = 0
        self._epoll = None
        self._ready_ns.clear()
        _LOGGER.warning("Requests are timed from their read alone: connections cannot be watched (%s).", error)
