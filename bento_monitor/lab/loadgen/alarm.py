"""Waking an event loop at a given time: the loop's timers resolve 1 ms, Linux's timer descriptors a microsecond."""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
import time
from collections.abc import Callable
from typing import Protocol

_NS_PER_S = 1_000_000_000
# From <sys/timerfd.h>: the clock, and the flag for absolute times of that clock.
_CLOCK_MONOTONIC = 1
_ABSOLUTE = 1


class Alarm(Protocol):
    """Calls back once each time it is set, on the event loop's thread."""

    def set(self, at_ns: int) -> None:
        """Ring at a time of CLOCK_MONOTONIC, instead of the one that was set before."""
        ...

    def close(self) -> None:
        """Ring no more."""
        ...


def make_alarm(loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> Alarm:
    """Return the most exact alarm that this system has."""
    return DescriptorAlarm(loop, ring) if sys.platform == "linux" else LoopAlarm(loop, ring)


class _Time(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Setting(ctypes.Structure):
    _fields_ = (("interval", _Time), ("value", _Time))


class DescriptorAlarm:
    """A Linux timer descriptor (`os.timerfd_create` in Python 3.13)."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        """Create the descriptor; raise OSError if the system has no more descriptors."""
        self._loop = loop
        self._ring = ring
        libc = ctypes.PyDLL(None, use_errno=True)
        self._fd = libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._settime = libc.timerfd_settime
        self._setting = _Setting()
        loop.add_reader(self._fd, self._on_ready)

    def set(self, at_ns: int) -> None:
        """Ring at a time of CLOCK_MONOTONIC, instead of the one that was set before."""
        at_ns = max(at_ns, 1)  # 0 would disarm the timer
        self._setting.value.seconds, self._setting.value.nanoseconds = divmod(at_ns, _NS_PER_S)
        if self._settime(self._fd, _ABSOLUTE, ctypes.byref(self._setting), None) != 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def close(self) -> None:
        """Ring no more."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _on_ready(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:  # the alarm was set again after the loop saw it ring
            return
        self._ring()


class LoopAlarm:
    """A timer of the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._timer: asyncio.TimerHandle | None = None

    def set(self, at_ns: int) -> None:
        """Ring at a time of CLOCK_MONOTONIC, instead of the one that was set before."""
        self.close()
        self._timer = self._loop.call_later(max(at_ns - time.monotonic_ns(), 0) / _NS_PER_S, self._ring)

    def close(self) -> None:
        """Ring no more."""
        if self._timer is not None:
            self._timer.cancel()
