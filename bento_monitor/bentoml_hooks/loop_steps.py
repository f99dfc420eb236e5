"""The steps that a user's async function takes on the loop: what is ready goes out before one that may compute.

Between two awaits a function holds the loop for as long as it computes, and with it all that the loop was to write.
"""

from __future__ import annotations

import time
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

# A step that takes longer keeps others' answers, were they held. Now and then the kernel has made it so, and another
# process had the core: what takes as long as VERY_LONG_S was computing.
_LONG_S = 0.001
VERY_LONG_S = 0.02
CAREFUL_S = 10.0
"""For so long after one that was very long, each step of a function may be long."""
# A long step adds so much to a function's level, and a quick one takes 1 from it: at one in eleven it stays.
_OF_LONG = 10
_QUICK_BELOW = 30
_AT_FIRST = 50
_MOST = 60
# Of a function that is quick, one call in so many is looked at: what holds the loop all at once is seen where answers
# are held (`uvicorn_writes`).
_LOOKED_AT = 16


class LoopSteps:
    """How long the steps of one function take, and what is done before those that may take long."""

    __slots__ = ("_before_long", "_calls", "_careful_until_s", "_is_quick", "_level")

    def __init__(self, before_long: Callable[[], None]) -> None:
        """`before_long` is called before each step that may take long: before all, until they were seen to be quick."""
        self._before_long = before_long
        self._is_quick = False
        self._calls = 0
        self._level = _AT_FIRST
        self._careful_until_s = 0.0

    def run(self, called: Any) -> Awaitable[Any]:
        """Await what the function gave when it was called, as `await` itself would."""
        if self._is_quick:
            self._calls = calls = self._calls + 1
            if calls % _LOOKED_AT:
                awaitable: Awaitable[Any] = called
                return awaitable
        return self._stepped(called) if type(called) is types.CoroutineType else called

    @types.coroutine
    def _stepped(self, coroutine: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
        step, given = coroutine.send, None
        while True:
            if not self._is_quick:
                self._before_long()
            begun_s = time.monotonic()
            try:
                waits_for = step(given)
            except StopIteration as end:
                self._note(begun_s)
                return end.value
            self._note(begun_s)
            try:
                given = yield waits_for
                step = coroutine.send
            except GeneratorExit:
                coroutine.close()
                raise
            except BaseException as error:  # a cancellation, say: the function's own to deal with
                step, given = coroutine.throw, error

    def _note(self, begun_s: float) -> None:
        now_s = time.monotonic()
        took_s = now_s - begun_s
        if took_s > _LONG_S:
            self._level = min(self._level + _OF_LONG, _MOST)
            if took_s > VERY_LONG_S:
                self._careful_until_s = now_s + CAREFUL_S
        elif self._level:
            self._level -= 1
        elif self._is_quick:
            return
        self._is_quick = self._level < _QUICK_BELOW and now_s >= self._careful_until_s
