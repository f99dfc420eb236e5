"""Counts how often a worker activated a release, refused it, or failed to activate it, and why."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Literal

SwapOutcome = Literal["taken", "refused", "failed"]


class SwapCounts:
    """Counts by outcome and reason; read by the metrics threads."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def count(self, outcome: SwapOutcome, reason: str) -> None:
        """Count a swap. `reason` is "" for the outcome "taken"."""
        with self._lock:
            self._counts[outcome, reason] += 1

    def totals(self) -> dict[tuple[str, str], int]:
        """Return the counts by outcome and reason."""
        with self._lock:
            return dict(self._counts)
