"""Log lines for events that may occur thousands of times: one line per interval, or one per outage."""

from __future__ import annotations

import logging
import time


class RateLimitedLog:
    """Logs the number of events, at most once per interval. Events since the last line are in the next line."""

    def __init__(self, logger: logging.Logger, message: str, interval_s: float) -> None:
        """`message` has two placeholders: the number of events, and the text of the last event."""
        self._logger = logger
        self._message = message
        self._interval_s = interval_s
        self._count = 0
        self._logged_s: float | None = None

    def note(self, what: str) -> None:
        """Count one event."""
        self._count += 1
        now_s = time.monotonic()
        if self._logged_s is None or now_s - self._logged_s >= self._interval_s:
            self._logger.warning(self._message, self._count, what)
            self._count, self._logged_s = 0, now_s


class OutageLog:
    """Logs the first failure of an outage; the next one only after a success."""

    def __init__(self, logger: logging.Logger, message: str) -> None:
        """`message` has the placeholders for the details of the failure."""
        self._logger = logger
        self._message = message
        self._is_out = False

    def failed(self, *details: object) -> None:
        """Log a failure, if it is the first of an outage."""
        if not self._is_out:
            self._is_out = True
            self._logger.warning(self._message, *details)

    def worked(self) -> None:
        """End the outage after a success."""
        self._is_out = False
