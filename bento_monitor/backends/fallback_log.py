"""Calls that the user's own model ran while a release was active: counted by reason, and logged once a minute."""

from __future__ import annotations

import logging
import threading
from collections import Counter

from ..resilience.rate_limited_log import RateLimitedLog
from ._base import FallbackReason

_LOGGER = logging.getLogger("bento_monitor")
_INTERVAL_S = 60.0


class FallbackLog:
    """The fallback calls of one runner; several threads may record them at once."""

    def __init__(self, runner: str) -> None:
        self._counts: Counter[tuple[str, FallbackReason]] = Counter()
        self._log = RateLimitedLog(
            _LOGGER, f"Runner {runner}: %d call(s) were run by the service's own model: %s.", _INTERVAL_S
        )
        self._answered: Counter[str] = Counter()
        self._latest: dict[tuple[str, FallbackReason], str] = {}
        self._lock = threading.Lock()

    def note(self, release: str, reason: FallbackReason, why: str) -> None:
        """Record a call that `release` did not answer."""
        with self._lock:
            self._counts[release, reason] += 1
            self._latest[release, reason] = why
            self._log.note(f"{release} did not take the call ({reason}: {why})")

    def note_answered(self, release: str) -> None:
        """Record that the own model answered a call that failed in `release`."""
        with self._lock:
            self._answered[release] += 1

    def answered(self) -> Counter[str]:
        """Return how many calls failed in each release and were then answered by the own model."""
        with self._lock:
            return self._answered.copy()

    def latest(self) -> list[tuple[str, FallbackReason, str]]:
        """Return the release, the reason and the details of the last call for each release and reason."""
        with self._lock:
            return [(release, reason, why) for (release, reason), why in self._latest.items()]

    def totals(self) -> dict[tuple[str, FallbackReason], int]:
        """Return the number of calls by release and reason."""
        with self._lock:
            return dict(self._counts)
