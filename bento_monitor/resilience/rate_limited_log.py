"""Log lines for what may happen thousands of times: one in so long, or one an outage."""

from __future__ import annotations

import logging
import time


class SparseLog:
    """Counts, and says so once an interval. What was counted since the last line is in the next one."""

    def __init__(self, logger: logging.Logger, message: str, interval_s: float) -> None:
        """`message` takes the number of times, then what is noted with the last of them."""
        self._logger = logger
        self._message = message
        self._interval_s = interval_s
        self._count = 0
        self._logged_s: float | None = None

    def note(self, what: str) -> None:
        """It has happened once more."""
        self._count += 1
        now_s = time.monotonic()
        if self._logged_s is None or now_s - self._logged_s >= self._interval_s:
            self._logger.warning(self._message, self._count, what)
            self._count, self._logged_s = 0, now_s


class OutageLog:
    """Says that something fails, and says it again only after it has worked."""

    def __init__(self, logger: logging.Logger, message: str) -> None:
        """`message` takes the details of the failure that is said."""
        self._logger = logger
        self._message = message
        self._is_out = False

    def failed(self, *details: object) -> None:
        """It has failed."""
        if not self._is_out:
            self._is_out = True
            self._logger.warning(self._message, *details)

    def worked(self) -> None:
        """It has worked."""
        self._is_out = False
