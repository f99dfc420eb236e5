"""A circuit breaker for code of bento-monitor on the request path: its failures must not fail requests.

A failure caused by the content of one request affects only that request, and is marked where it occurs. Failures that
reach a breaker come from the machine or from a bug. So a breaker opens at a rate of failures, not at a total count, and
the part is retried later.
"""

from __future__ import annotations

import logging
import time
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

_LOGGER = logging.getLogger("bento_monitor")
_MAX_FAILURES = 5
_WITHIN_S = 10.0
_FIRST_PAUSE_S = 30.0
_LONGEST_PAUSE_S = 600.0
# Shortest time between two log lines with a stack trace.
_QUIET_S = 60.0


class BreakerState(IntEnum):
    """The state of a part: `CLOSED` (works), `OPEN` (switched off) or `HALF_OPEN` (retried)."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


_CLOSED = BreakerState.CLOSED  # read for every request: attribute access on an enum is slow


@dataclass(frozen=True, slots=True)
class BreakerLevel:
    """The current state of a part, and how often it failed, was switched off and was retried."""

    state: BreakerState
    failures: int
    opens: int
    retries: int


class CircuitBreaker:
    """Switches off a part of bento-monitor that fails `_MAX_FAILURES` times within `_WITHIN_S`, and retries it later.

    The retry comes after `_FIRST_PAUSE_S`. A failure within `_WITHIN_S` of the retry switches the part off again, for
    twice as long (at most `_LONGEST_PAUSE_S`); without a failure in this time, the breaker closes.
    """

    def __init__(self, part: str, now_s: Callable[[], float] = time.monotonic) -> None:
        """`part` names the work of the part, such as "Writing the access log"."""
        self.part = part
        self.failures = self.opens = self.retries = 0
        self._now_s = now_s
        self._state = BreakerState.CLOSED
        self._recent_s: deque[float] = deque(maxlen=_MAX_FAILURES)
        self._until_s = 0.0  # end of the state, unless it is `CLOSED`
        self._pause_s = _FIRST_PAUSE_S
        self._last_shown_s: float | None = None
        _breakers.add(self)

    @property
    def is_open(self) -> bool:
        """Whether the part is switched off now."""
        return self._state is not _CLOSED and self._look() is BreakerState.OPEN

    def run(self, step: Callable[..., object], *args: object) -> None:
        """Run one step of the part, unless it is switched off. Count a failure, and do not raise it."""
        if self._state is _CLOSED or not self.is_open:
            try:
                step(*args)
            except Exception as error:
                self.record(error)

    def record(self, error: Exception) -> None:
        """Count one failure."""
        now_s, state = self._now_s(), self._look()
        self.failures += 1
        self._recent_s.append(now_s)
        if state is BreakerState.HALF_OPEN:
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
            self._open(now_s, "again", error)
        elif state is BreakerState.CLOSED:
            if len(self._recent_s) == _MAX_FAILURES and now_s - self._recent_s[0] <= _WITHIN_S:
                self._open(now_s, f"{_MAX_FAILURES} times within {_WITHIN_S:.0f} s", error)
            elif self._should_show(now_s):
                _LOGGER.warning("%s failed; the request is not affected.", self.part, exc_info=error)

    def level(self) -> BreakerLevel:
        """Return the state and the counts."""
        return BreakerLevel(self._look(), self.failures, self.opens, self.retries)

    def _look(self) -> BreakerState:
        if self._state is not BreakerState.CLOSED and (now_s := self._now_s()) >= self._until_s:
            if self._state is BreakerState.OPEN:
                self._state, self._until_s = BreakerState.HALF_OPEN, now_s + _WITHIN_S
                self.retries += 1
            else:
                self._state, self._pause_s = BreakerState.CLOSED, _FIRST_PAUSE_S
                self._recent_s.clear()
                _LOGGER.warning("%s works again.", self.part)
        return self._state

    def _open(self, now_s: float, how_often: str, error: Exception) -> None:
        self._state, self._until_s = BreakerState.OPEN, now_s + self._pause_s
        self.opens += 1
        shown = error if self._should_show(now_s) else None
        _LOGGER.warning(
            "%s failed %s and is switched off for %.0f s.", self.part, how_often, self._pause_s, exc_info=shown
        )

    def _should_show(self, now_s: float) -> bool:
        """Return whether to log a stack trace: at most one per `_QUIET_S`."""
        is_long_ago = self._last_shown_s is None or now_s - self._last_shown_s >= _QUIET_S
        if is_long_ago:
            self._last_shown_s = now_s
        return is_long_ago


_breakers: weakref.WeakSet[CircuitBreaker] = weakref.WeakSet()


def breaker_levels() -> dict[str, BreakerLevel]:
    """Return the levels of this process by part; breakers of one part are merged to the worst state and the sums."""
    found: dict[str, BreakerLevel] = {}
    for breaker in list(_breakers):
        level, other = breaker.level(), found.get(breaker.part)
        if other is not None:
            level = BreakerLevel(
                max(level.state, other.state),
                level.failures + other.failures,
                level.opens + other.opens,
                level.retries + other.retries,
            )
        found[breaker.part] = level
    return found
