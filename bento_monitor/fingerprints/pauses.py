"""Pauses in a long piece of work in Python, in which waiting requests get the interpreter."""

from __future__ import annotations

import time

_STEP_S = 0.001
_YIELD_S = 0.0002


class Pauses:
    """Called often; sleeps for a moment after each millisecond of work."""

    def __init__(self) -> None:
        self._at_s = time.monotonic() + _STEP_S

    def __call__(self) -> None:
        """Sleep if a millisecond has gone by."""
        if time.monotonic() >= self._at_s:
            time.sleep(_YIELD_S)
            self._at_s = time.monotonic() + _STEP_S
