"""How often a worker took a release, refused one, or could not take it, and why."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Literal

SwapOutcome = Literal["taken", "refused", "failed"]


class SwapCounts:
    """Counts by outcome and reason; read by the threads that show metrics."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def count(self, outcome: SwapOutcome, reason: str) -> None:
        """One more. `reason` is "" where it was taken."""
        with self._lock:
            self._counts[outcome, reason] += 1

    def totals(self) -> dict[tuple[str, str], int]:
        """All of them, by outcome and reason."""
        with self._lock:
            return dict(self._counts)
