"""How many traces a second may be exported, whatever callers ask for: a token bucket."""

from __future__ import annotations

import time
from collections.abc import Callable


class TokenBucket:
    """Gives `rate_per_s` tokens a second, and up to `burst` at once after a quiet time. It begins full."""

    def __init__(self, rate_per_s: float, burst: int, now_s: Callable[[], float] = time.monotonic) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._now_s = now_s
        self._tokens = float(burst)
        self._filled_s = now_s()

    def take(self) -> bool:
        """Whether there is a token; it is gone then."""
        # Each time: filled only when it is empty, it would give twice the burst after a quiet time.
        now_s = self._now_s()
        self._tokens = min(self._burst, self._tokens + (now_s - self._filled_s) * self._rate_per_s)
        self._filled_s = now_s
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
