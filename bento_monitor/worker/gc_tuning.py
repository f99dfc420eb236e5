"""The garbage collector of a worker: it walks what is young, and the rest only where that has been found to be of use.

Python's oldest generation is walked whole, and a service's imports alone are some 100,000 objects: 0.3 s each time.
What is left after the freeze is what connections and waiting requests are made of, some 80 objects each: with 256 of
them at once a collection of all takes 14 ms, and finds nothing, since no request leaves a cycle behind of itself.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import threading
from collections.abc import Callable

import psutil

from ..resilience.circuit_breaker import CircuitBreaker

_IDLE_POLL_S = 0.2
# Of the youngest generation. A cycle may be one small object that holds a large buffer, so this bounds what waits.
_YOUNGEST_OBJECTS = 1_000
# Collections of the youngest generation until one of the next, and of that until one of all. Reluctant is hours.
_EAGER, _RELUCTANT = (10, 10), (1_000_000, 10)
# Garbage that makes the older generations worth a walk; a failed request's traceback is some ten objects.
_WORTH_OBJECTS = 100
_GROWTH_BYTES = 32 * 2**20
_COLLECTIONS_A_LOOK = 4


class Collector:
    """Freezes the heap when the service is up; after a swap renews that when nothing is being served.

    Older generations are walked when the process has grown, and then for as long as garbage is found in them.
    """

    def __init__(
        self, is_idle: Callable[[], bool], resident_bytes: Callable[[], int] | None = None, *, is_tuned: bool = True
    ) -> None:
        """Make it.

        Args:
            is_idle: whether no request is being served now.
            resident_bytes: how large the process is.
            is_tuned: else Python's collector is left as the service has it; what a swap leaves is still given back.
        """
        self._is_idle = is_idle
        self._is_tuned = is_tuned
        self._resident_bytes = resident_bytes or _size_of_process()
        self._waiting: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._breaker = CircuitBreaker("Watching the memory")
        self._before: tuple[int, int, int] | None = None  # the thresholds, while the heap is frozen
        self._young = 0
        self._size_bytes = 0

    def freeze(self) -> None:
        """Collect once, and leave what is left out of all collections to come. Call it on the event loop's thread."""
        self._loop = asyncio.get_running_loop()
        if not self._is_tuned:
            return
        if self._before is None:
            self._before = gc.get_threshold()
        gc.collect()
        gc.freeze()
        # Python walks the oldest generation when it has grown by a quarter: of what is not frozen, from now on.
        gc.collect()
        self._be(_RELUCTANT)
        self._size_bytes = self._resident_bytes()
        if self._watch not in gc.callbacks:
            gc.callbacks.append(self._watch)

    def stop(self) -> None:
        """Leave the collector as it was before the freeze."""
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        if self._watch in gc.callbacks:
            gc.callbacks.remove(self._watch)
        if self._before is not None:
            gc.unfreeze()
            gc.set_threshold(*self._before)
            self._before = None

    def renew_when_idle(self) -> None:
        """Give back what a release that was swapped out has left in cycles. Call it on the event loop's thread."""
        if self._waiting is None:
            self._wait(asyncio.get_running_loop())

    def _watch(self, phase: str, info: dict[str, int]) -> None:
        """Python calls this around every collection, on whichever thread it happened to come."""
        if phase == "stop":
            self._breaker.run(self._look, info)

    def _look(self, info: dict[str, int]) -> None:
        if info["generation"] > 0:
            self._be(_EAGER if info["collected"] >= _WORTH_OBJECTS else _RELUCTANT)
            return
        self._young += 1
        if self._young % _COLLECTIONS_A_LOOK == 0 and self._has_grown() and self._loop is not None:
            self._loop.call_soon_threadsafe(self._collect)

    def _has_grown(self) -> bool:
        """Since the last collection; each growth is told once, however long the loop takes to act on it."""
        size_bytes = self._resident_bytes()
        has_grown = size_bytes - self._size_bytes > _GROWTH_BYTES
        self._size_bytes = size_bytes if has_grown else min(self._size_bytes, size_bytes)
        return has_grown

    def _collect(self) -> None:
        gc.collect()
        self._size_bytes = self._resident_bytes()

    def _be(self, collections: tuple[int, int]) -> None:
        gc.set_threshold(_YOUNGEST_OBJECTS, *collections)

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        self._waiting = loop.call_later(_IDLE_POLL_S, self._renew_if_idle, loop)

    def _renew_if_idle(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._is_idle():
            self._wait(loop)
            return
        self._waiting = None
        if self._is_tuned:
            gc.unfreeze()
            self.freeze()
        else:
            gc.collect()
        # It lets go of the interpreter, and takes some 20 ms: a request that comes now does not wait for it.
        threading.Thread(target=_trim, name="bento-monitor-trim", daemon=True).start()


def _size_of_process() -> Callable[[], int]:
    process = psutil.Process()
    return lambda: int(process.memory_info().rss)


def _trim() -> None:
    """Give freed memory back to the system. glibc keeps it: 230 MiB after 50 swaps of a model of 16 MiB.

    Its allocator raises the size from which it maps memory by itself, at the first weights freed, to their size; the
    next ones lie between other things in its arenas. Other allocators have no such call, and nothing is done.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
