"""The latency budget: the longest wait after which a request can still be answered within its API's maximum latency."""

from __future__ import annotations

from collections import deque

_REMEMBERED = 16


class LatencyBudget:
    """Computes the longest wait from the fastest of the last 16 batches.

    If even that batch is slower than the maximum latency, the longest wait is the maximum latency itself: refusing all
    requests would help nobody.
    """

    def __init__(self, max_latency_ms: float) -> None:
        self._max_latency_ns = int(max_latency_ms * 1e6)
        self._durations_ns: deque[int] = deque(maxlen=_REMEMBERED)
        self.longest_wait_ns = self._max_latency_ns

    def note(self, duration_ns: int) -> None:
        """Note the duration of an answered batch."""
        self._durations_ns.append(duration_ns)
        left_ns = self._max_latency_ns - min(self._durations_ns)
        self.longest_wait_ns = left_ns if left_ns > 0 else self._max_latency_ns
