"""Calls that the user's own model ran where a release was active: counted by reason, and said once a minute."""

from __future__ import annotations

import logging
import threading
from collections import Counter

from ..resilience.rate_limited_log import SparseLog
from ._base import FallbackReason

_LOGGER = logging.getLogger("bento_monitor")
_INTERVAL_S = 60.0


class FallbackLog:
    """Of one runner; several threads may note at once."""

    def __init__(self, runner: str) -> None:
        self._counts: Counter[tuple[str, FallbackReason]] = Counter()
        self._log = SparseLog(
            _LOGGER, f"Runner {runner}: %d call(s) were run by the service's own model: %s.", _INTERVAL_S
        )
        self._answered: Counter[str] = Counter()
        self._latest: dict[tuple[str, FallbackReason], str] = {}
        self._lock = threading.Lock()

    def note(self, release: str, reason: FallbackReason, why: str) -> None:
        """One more call that `release` did not answer."""
        with self._lock:
            self._counts[release, reason] += 1
            self._latest[release, reason] = why
            self._log.note(f"{release} did not take it ({reason}: {why})")

    def note_answered(self, release: str) -> None:
        """The model has answered a call that `release` failed."""
        with self._lock:
            self._answered[release] += 1

    def answered(self) -> Counter[str]:
        """How many calls each release failed that the model then answered."""
        with self._lock:
            return self._answered.copy()

    def latest(self) -> list[tuple[str, FallbackReason, str]]:
        """The release, the reason and the details of the last call of each kind."""
        with self._lock:
            return [(release, reason, why) for (release, reason), why in self._latest.items()]

    def totals(self) -> dict[tuple[str, FallbackReason], int]:
        """How many there were, by release and reason."""
        with self._lock:
            return dict(self._counts)
