"""The limits of what a connection may do before a request reaches the application."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .deadlines import Deadlines


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
