"""A breaker for our own code on a request's path: it may fail, the request may not."""

from __future__ import annotations

import logging
from collections.abc import Callable

_LOGGER = logging.getLogger("bento_monitor")


class Guard:
    """Counts the failures of one part of ours, logs the first, and switches the part off after `limit` of them.

    `is_open` says that it is switched off.
    """

    def __init__(self, part: str, limit: int = 5) -> None:
        self._part = part
        self._limit = limit
        self.failures = 0
        self.is_open = False

    def run(self, step: Callable[..., object], *args: object) -> None:
        """Take one step of the part, unless it is switched off; a failure is counted, and goes no further."""
        if not self.is_open:
            try:
                step(*args)
            except Exception as error:
                self.record(error)

    def record(self, error: Exception) -> None:
        """Count one failure."""
        self.failures += 1
        self.is_open = self.failures >= self._limit
        if self.failures == 1:
            _LOGGER.warning("%s failed; the request is not affected.", self._part, exc_info=error)
        elif self.failures == self._limit:
            _LOGGER.warning("%s failed %d times and is switched off.", self._part, self.failures)
