"""Pauses in long work in Python code, during which waiting requests get the interpreter."""

from __future__ import annotations

import time

_STEP_S = 0.001
_YIELD_S = 0.0002


class Pauses:
    """Sleeps for a moment after each millisecond of work; must be called often."""

    def __init__(self) -> None:
        self._at_s = time.monotonic() + _STEP_S

    def __call__(self) -> None:
        """Sleep if a millisecond has passed since the last pause."""
        if time.monotonic() >= self._at_s:
            time.sleep(_YIELD_S)
            self._at_s = time.monotonic() + _STEP_S
