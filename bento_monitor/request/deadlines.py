"""Time limits of requests: one timer per worker, set for the oldest request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

OnExpired = Callable[[], None]


class Deadlines:
    """Calls back for each request that is watched for longer than `timeout_s`, oldest first."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._watched: dict[int, tuple[float, OnExpired]] = {}
        self._last_key = 0
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, on_expired: OnExpired) -> int:
        """Start to watch a request, and return the key for `end`."""
        loop = asyncio.get_running_loop()
        self._last_key += 1
        due_s = loop.time() + self.timeout_s
        self._watched[self._last_key] = (due_s, on_expired)
        if self._timer is None:
            self._timer = loop.call_at(due_s, self._expire, loop)
        return self._last_key

    def end(self, key: int) -> None:
        """Stop watching a request; do nothing if it has expired. The timer stays set, and then finds nothing due."""
        self._watched.pop(key, None)

    def __len__(self) -> int:
        """Return the number of watched requests."""
        return len(self._watched)

    def expire_oldest(self) -> None:
        """Call back for the oldest watched request, as if its time were over."""
        _, on_expired = self._watched.pop(next(iter(self._watched)))
        on_expired()

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now_s = loop.time()
        while self._watched:
            key, (due_s, on_expired) = next(iter(self._watched.items()))
            if due_s > now_s:
                self._timer = loop.call_at(due_s, self._expire, loop)
                return
            del self._watched[key]
            on_expired()
