"""Tuning of a worker's garbage collector: it collects the youngest generation, and older ones only if that pays.

A collection of Python's oldest generation walks all of it, and the imports of a service alone are some 100,000 objects:
0.3 s each time. After the freeze, only connections and waiting requests are left, some 80 objects each: with 256 of
them, a full collection takes 14 ms and finds nothing, because a request by itself leaves no reference cycle.
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
# Threshold of the youngest generation. A cycle may hold a large buffer, so this bounds the uncollected memory.
_YOUNGEST_OBJECTS = 1_000
# Collections of the youngest generation per one of the next, and of that per full one. Reluctant: once in hours.
_EAGER, _RELUCTANT = (10, 10), (1_000_000, 10)
# Garbage objects that make collecting older generations worthwhile; the traceback of a failed request has about ten.
_WORTH_OBJECTS = 100
_GROWTH_BYTES = 32 * 2**20
_COLLECTIONS_PER_CHECK = 4


class HeapTuner:
    """Freezes the heap when the service is up, and renews the freeze after a swap, while no request is served.

    Older generations are collected when the process has grown, and then as long as garbage is found in them.
    """

    def __init__(
        self, is_idle: Callable[[], bool], resident_bytes: Callable[[], int] | None = None, *, is_tuned: bool = True
    ) -> None:
        """Create a collector.

        Args:
            is_idle: returns whether no request is being served now.
            resident_bytes: returns the resident size of the process.
            is_tuned: if False, Python's collector keeps its settings; memory is still freed after a swap.
        """
        self._is_idle = is_idle
        self._is_tuned = is_tuned
        self._resident_bytes = resident_bytes or _size_of_process()
        self._waiting: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._breaker = CircuitBreaker("Watching the memory")
        self._saved_thresholds: tuple[int, int, int] | None = None  # the original thresholds, while the heap is frozen
        self._young_collections = 0
        self._size_bytes = 0

    def freeze(self) -> None:
        """Collect once, and exclude the remaining objects from then on. Call it on the event loop's thread."""
        self._loop = asyncio.get_running_loop()
        if not self._is_tuned:
            return
        if self._saved_thresholds is None:
            self._saved_thresholds = gc.get_threshold()
        gc.collect()
        gc.freeze()
        # Python collects the oldest generation after a growth by a quarter, counted from now on without frozen objects.
        gc.collect()
        self._set_collections(_RELUCTANT)
        self._size_bytes = self._resident_bytes()
        if self._watch not in gc.callbacks:
            gc.callbacks.append(self._watch)

    def stop(self) -> None:
        """Restore the state of the collector before the freeze."""
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        if self._watch in gc.callbacks:
            gc.callbacks.remove(self._watch)
        if self._saved_thresholds is not None:
            gc.unfreeze()
            gc.set_threshold(*self._saved_thresholds)
            self._saved_thresholds = None

    def refreeze_when_idle(self) -> None:
        """Free the memory of a swapped-out release, including reference cycles. Call it on the event loop's thread."""
        if self._waiting is None:
            self._wait(asyncio.get_running_loop())

    def _watch(self, phase: str, info: dict[str, int]) -> None:
        """Callback before and after each collection, on any thread."""
        if phase == "stop":
            self._breaker.run(self._check, info)

    def _check(self, info: dict[str, int]) -> None:
        if info["generation"] > 0:
            self._set_collections(_EAGER if info["collected"] >= _WORTH_OBJECTS else _RELUCTANT)
            return
        self._young_collections += 1
        if self._young_collections % _COLLECTIONS_PER_CHECK == 0 and self._has_grown() and self._loop is not None:
            self._loop.call_soon_threadsafe(self._collect)

    def _has_grown(self) -> bool:
        """Return whether the process has grown since the last collection; report each growth only once."""
        size_bytes = self._resident_bytes()
        has_grown = size_bytes - self._size_bytes > _GROWTH_BYTES
        self._size_bytes = size_bytes if has_grown else min(self._size_bytes, size_bytes)
        return has_grown

    def _collect(self) -> None:
        gc.collect()
        self._size_bytes = self._resident_bytes()

    def _set_collections(self, collections: tuple[int, int]) -> None:
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
        # In a thread: it releases the GIL and takes some 20 ms, so that a new request does not wait for it.
        threading.Thread(target=_trim, name="bento-monitor-trim", daemon=True).start()


def _size_of_process() -> Callable[[], int]:
    process = psutil.Process()
    return lambda: int(process.memory_info().rss)


def _trim() -> None:
    """Return freed memory to the system. glibc keeps it: 230 MiB after 50 swaps of a model of 16 MiB.

    When weights are first freed, glibc's allocator raises its mmap threshold to their size, so the next weights lie
    between other objects in its arenas. Other allocators have no such call; then nothing is done.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
