"""The limits of what a connection may do before a request reaches the application."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .deadlines import Deadlines

_LOGGER = logging.getLogger("bento_monitor")
_LOG_INTERVAL_S = 60.0


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """What a request's head may be, and how long and how many connections may wait for theirs."""

    max_count: int
    max_bytes: int
    timeout_s: float
    max_waiting: int

    def hold_for(self, url: bytes, headers: Sequence[tuple[bytes, bytes]]) -> bool:
        """Whether a head that is whole may be served."""
        size = len(url) + sum(len(name) + len(value) for name, value in headers)
        return len(headers) <= self.max_count and size <= self.max_bytes


class WaitingConnections:
    """The connections of a worker that wait for a whole head, oldest first. One timer watches all of them."""

    def __init__(self, limits: HeadLimits) -> None:
        self._deadlines = Deadlines(limits.timeout_s)
        self._max_waiting = limits.max_waiting

    def add(self, give_up: Callable[[], None]) -> int:
        """A connection begins to wait; gives the key to end it by. `give_up` closes it."""
        key = self._deadlines.watch(give_up)
        if len(self._deadlines) > self._max_waiting:
            self._deadlines.expire_oldest()
        return key

    def end(self, key: int) -> None:
        """It waits no longer."""
        self._deadlines.end(key)


class RefusalLog:
    """A line for what was refused before it was a request, at most one a minute: a flood must not fill the log."""

    def __init__(self) -> None:
        self._refused = 0
        self._logged_s: float | None = None

    def note(self, reason: str) -> None:
        """Count one refusal."""
        self._refused += 1
        now_s = time.monotonic()
        if self._logged_s is None or now_s - self._logged_s >= _LOG_INTERVAL_S:
            _LOGGER.warning("%d connections closed before a request, the last one: %s", self._refused, reason)
            self._refused, self._logged_s = 0, now_s
