"""A clock that stands still until a test advances it, and the ledger of a running request."""

import asyncio
import selectors
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import pytest

from bento_monitor.tracing.ledger.ledger import Ledger, current_ledger

T = TypeVar("T")


class _NeverWaiting(selectors.DefaultSelector):
    def select(self, timeout: float | None = None) -> Any:
        assert timeout is not None, "No callback is left to run."
        assert timeout <= 0, f"No callback is due for {timeout} s: advance the clock."
        return super().select(timeout)


class _StoppedLoop(asyncio.SelectorEventLoop):
    now_s = 1000.0

    def __init__(self) -> None:
        super().__init__(_NeverWaiting())

    def time(self) -> float:
        return self.now_s


class Clock:
    """An event loop with its own time."""

    def __init__(self) -> None:
        self._loop = _StoppedLoop()

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(main)

    async def advance(self, seconds: float) -> None:
        """Run all pending callbacks, advance the time, and run the callbacks that are then due."""
        for passed_s in (0.0, seconds):
            self._loop.now_s += passed_s
            for _ in range(10):
                await asyncio.sleep(0)

    def close(self) -> None:
        self._loop.run_until_complete(_cancel_others())
        self._loop.close()


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


@pytest.fixture
def clock() -> Iterator[Clock]:
    made = Clock()
    yield made
    made.close()


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    """Set the ledger of a sampled request as the current one and return it."""
    made = Ledger(trace_id=1, parent_span_id=0, sampled=True, received_ns=1)
    token = current_ledger.set(made)
    yield made
    current_ledger.reset(token)
