"""The garbage collector of a worker: what was there at the start is not walked again, so no collection stops requests.

Python's oldest generation is walked whole, and a service's imports alone are some 100,000 objects: 0.3 s each time.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import threading
from collections.abc import Callable

_IDLE_POLL_S = 0.2
# Of the youngest generation. A cycle may be one small object that holds a large buffer, so this bounds what waits.
_YOUNGEST_OBJECTS = 1_000


class Collector:
    """Freezes the heap when the service is up; after a swap renews that when nothing is being served."""

    def __init__(self, is_idle: Callable[[], bool]) -> None:
        """`is_idle` says whether no request is being served now."""
        self._is_idle = is_idle
        self._waiting: asyncio.TimerHandle | None = None

    def freeze(self) -> None:
        """Collect once, and leave what is left out of all collections to come. The collector stays on."""
        gc.collect()
        gc.freeze()
        # Python walks the oldest generation when it has grown by a quarter: of what is not frozen, from now on.
        gc.collect()
        gc.set_threshold(_YOUNGEST_OBJECTS, *gc.get_threshold()[1:])

    def renew_when_idle(self) -> None:
        """Give back what a release that was swapped out has left in cycles. Call it on the event loop's thread."""
        if self._waiting is None:
            self._wait(asyncio.get_running_loop())

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        self._waiting = loop.call_later(_IDLE_POLL_S, self._renew_if_idle, loop)

    def _renew_if_idle(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._is_idle():
            self._wait(loop)
            return
        self._waiting = None
        gc.unfreeze()
        self.freeze()
        # It lets go of the interpreter, and takes some 20 ms: a request that comes now does not wait for it.
        threading.Thread(target=_trim, name="bento-monitor-trim", daemon=True).start()


def _trim() -> None:
    """Give freed memory back to the system. glibc keeps it: 230 MiB after 50 swaps of a model of 16 MiB.

    Its allocator raises the size from which it maps memory by itself, at the first weights freed, to their size; the
    next ones lie between other things in its arenas. Other allocators have no such call, and nothing is done.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
