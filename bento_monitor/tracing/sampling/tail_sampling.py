"""Keeping the trace of a request that was not sampled when it began, for what it turned out to be."""

from __future__ import annotations

from collections.abc import Collection

from ..ledger.ledger import CLIENT_LEFT, Ledger
from .rate_limit import TokenBucket

FAILED, SLOW, FIRST = "failed", "slow", "first"
REASONS = (FAILED, SLOW, FIRST)

_MAX_KINDS = 1_000
# The border of the slowest hundredth of a route: it rises by this part with each request above it, and falls by a
# hundredth of that with each below, so that one in a hundred lies above wherever it comes to rest.
_STEP = 0.05
_SHARE_ABOVE = 0.01
_LEARNING_REQUESTS = 200


class TailSampler:
    """Decides at a request's end. What it keeps is bounded, so that a flood of failures forces no exports."""

    def __init__(self, reasons: Collection[str], slow_ms: float | None, bucket: TokenBucket | None) -> None:
        """Make it.

        Args:
            reasons: of `REASONS`, those that count.
            slow_ms: what is slow; None: the slowest hundredth of the requests of its route.
            bucket: how many may be kept; None is no limit.
        """
        self._keeps_failed, self._keeps_slow, self._keeps_first = (each in reasons for each in (FAILED, SLOW, FIRST))
        self._slow_ns = None if slow_ms is None else slow_ms * 1e6
        self._bucket = bucket
        self._kinds: set[tuple[str | None, int, str | None]] = set()
        self._borders: dict[str | None, _Border] = {}

    def reason_for(self, ledger: Ledger) -> str | None:
        """Why a finished request must be kept, if it must; one that is sampled is only learned from."""
        reason = SLOW if self._keeps_slow and self._is_slow(ledger) else None
        kind = (ledger.route, ledger.status, ledger.error_type)
        is_first = self._keeps_first and kind not in self._kinds and len(self._kinds) < _MAX_KINDS
        if is_first:
            reason = FIRST
        if self._keeps_failed and (
            ledger.status >= 500 or (ledger.error_type is not None and ledger.error_type != CLIENT_LEFT)
        ):
            reason = FAILED
        if reason is None or not (ledger.sampled or self._bucket is None or self._bucket.take()):
            return None
        if is_first:
            self._kinds.add(kind)  # whose trace is there: one that was not kept for the limit is still to come
        return None if ledger.sampled else reason

    def _is_slow(self, ledger: Ledger) -> bool:
        took_ns = ledger.sent_ns - ledger.received_ns
        if self._slow_ns is not None:
            return took_ns >= self._slow_ns
        border = self._borders.get(ledger.route)
        if border is None:
            border = self._borders[ledger.route] = _Border(took_ns)
        return border.is_passed_by(took_ns)


class _Border:
    __slots__ = ("_border_ns", "_seen")

    def __init__(self, first_ns: int) -> None:
        self._border_ns = float(max(first_ns, 1))
        self._seen = 0

    def is_passed_by(self, took_ns: int) -> bool:
        self._seen += 1
        if took_ns > self._border_ns:
            self._border_ns *= 1 + _STEP
            return self._seen > _LEARNING_REQUESTS
        self._border_ns *= 1 - _STEP * _SHARE_ABOVE
        return False
