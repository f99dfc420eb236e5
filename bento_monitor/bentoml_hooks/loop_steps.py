"""The steps that a user's async function takes on the loop: what is ready goes out before one that may compute.

Between two awaits a function holds the loop for as long as it computes, and with it all that the loop was to write.
"""

from __future__ import annotations

import time
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

# A step that takes longer keeps others' answers, were they held.
_LONG_S = 0.001
# A function is taken to be quick after so many steps in a row that were, and for so long after one that was not.
_QUICK_STEPS = 20
_CAREFUL_S = 10.0


class LoopSteps:
    """How long the steps of one function take, and what is done before those that may take long."""

    __slots__ = ("_before_long", "_careful_until_s", "_is_quick", "_steps")

    def __init__(self, before_long: Callable[[], None]) -> None:
        """`before_long` is called before each step that may take long: before all, until they were seen to be quick."""
        self._before_long = before_long
        self._is_quick = False
        self._steps = 0
        self._careful_until_s = 0.0

    def run(self, called: Any) -> Awaitable[Any]:
        """Await what the function gave when it was called, as `await` itself would."""
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
        if now_s - begun_s > _LONG_S:
            self._is_quick, self._steps, self._careful_until_s = False, 0, now_s + _CAREFUL_S
        elif not self._is_quick:
            self._steps += 1
            self._is_quick = self._steps >= _QUICK_STEPS and now_s >= self._careful_until_s
