"""How long a request may wait for its batch: as long as it can still be answered within its API's latency."""

from __future__ import annotations

from collections import deque

_REMEMBERED = 16


class LatencyBudget:
    """Learns from the last batches what even a fast one takes.

    A function that is always slower than the latency allows is still called for what has not waited longer than that:
    to refuse everything would help nobody.
    """

    def __init__(self, max_latency_ms: float) -> None:
        self._max_latency_ns = int(max_latency_ms * 1e6)
        self._durations_ns: deque[int] = deque(maxlen=_REMEMBERED)
        self.longest_wait_ns = self._max_latency_ns

    def note(self, duration_ns: int) -> None:
        """A batch has been answered in this time."""
        self._durations_ns.append(duration_ns)
        left_ns = self._max_latency_ns - min(self._durations_ns)
        self.longest_wait_ns = left_ns if left_ns > 0 else self._max_latency_ns
