"""Tail sampling: keeps the traces of unsampled requests that failed, were slow, or were the first of their kind."""

from __future__ import annotations

from collections.abc import Collection

from ..ledger.ledger import CLIENT_DISCONNECTED, Ledger
from .rate_limit import TokenBucket

FAILED, SLOW, FIRST = "failed", "slow", "first"
REASONS = (FAILED, SLOW, FIRST)

_MAX_KINDS = 1_000
# An estimate of the 99th percentile of a route: each slower request raises it by this share, each faster request lowers
# it by a hundredth of this share, so that in equilibrium one request in a hundred is slower.
_STEP = 0.05
_SHARE_ABOVE = 0.01
_LEARNING_REQUESTS = 200


class TailSampler:
    """Decides at the end of a request. A rate limit keeps a flood of failures from forcing exports."""

    def __init__(self, reasons: Collection[str], slow_ms: float | None, bucket: TokenBucket | None) -> None:
        """Make a tail sampler.

        Args:
            reasons: the enabled reasons, from `REASONS`.
            slow_ms: duration from which a request is slow; None means the slowest hundredth of its route.
            bucket: rate limit of kept traces; None means no limit.
        """
        self._keeps_failed, self._keeps_slow, self._keeps_first = (each in reasons for each in (FAILED, SLOW, FIRST))
        self._slow_ns = None if slow_ms is None else slow_ms * 1e6
        self._bucket = bucket
        self._kinds: set[tuple[str | None, int, str | None]] = set()
        self._thresholds: dict[str | None, _SlowThreshold] = {}

    def reason_for(self, ledger: Ledger) -> str | None:
        """Return the reason to keep an unsampled request, or None.

        A sampled request updates the estimates, and its result is None.
        """
        reason = SLOW if self._keeps_slow and self._is_slow(ledger) else None
        kind = (ledger.route, ledger.status, ledger.error_type)
        is_first = self._keeps_first and kind not in self._kinds and len(self._kinds) < _MAX_KINDS
        if is_first:
            reason = FIRST
        if self._keeps_failed and (
            ledger.status >= 500 or (ledger.error_type is not None and ledger.error_type != CLIENT_DISCONNECTED)
        ):
            reason = FAILED
        if reason is None or not (ledger.sampled or self._bucket is None or self._bucket.take()):
            return None
        if is_first:
            self._kinds.add(kind)  # a request that the rate limit drops does not count as the first of its kind
        return None if ledger.sampled else reason

    def _is_slow(self, ledger: Ledger) -> bool:
        took_ns = ledger.sent_ns - ledger.received_ns
        if self._slow_ns is not None:
            return took_ns >= self._slow_ns
        threshold = self._thresholds.get(ledger.route)
        if threshold is None:
            threshold = self._thresholds[ledger.route] = _SlowThreshold(took_ns)
        return threshold.is_exceeded_by(took_ns)


class _SlowThreshold:
    __slots__ = ("_seen", "_threshold_ns")

    def __init__(self, first_ns: int) -> None:
        self._threshold_ns = float(max(first_ns, 1))
        self._seen = 0

    def is_exceeded_by(self, took_ns: int) -> bool:
        self._seen += 1
        if took_ns > self._threshold_ns:
            self._threshold_ns *= 1 + _STEP
            return self._seen > _LEARNING_REQUESTS
        self._threshold_ns *= 1 - _STEP * _SHARE_ABOVE
        return False
