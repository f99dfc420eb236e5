"""A token bucket: limits the traces per second, however many the callers sample."""

from __future__ import annotations

import time
from collections.abc import Callable


class TokenBucket:
    """Gives `rate_per_s` tokens per second, and up to `burst` at once after an idle time. It starts full."""

    def __init__(self, rate_per_s: float, burst: int, now_s: Callable[[], float] = time.monotonic) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._now_s = now_s
        self._tokens = float(burst)
        self._filled_s = now_s()

    def take(self) -> bool:
        """Take a token; return whether there was one."""
        # Refill on every call: refilled only when empty, the bucket would give twice the burst after an idle time.
        now_s = self._now_s()
        self._tokens = min(self._burst, self._tokens + (now_s - self._filled_s) * self._rate_per_s)
        self._filled_s = now_s
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
