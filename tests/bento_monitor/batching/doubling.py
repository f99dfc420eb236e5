"""A dispatcher for a function that doubles rows, for the tests of the dispatcher."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from bento_monitor.batching import BatchDispatcher
from bento_monitor.batching.job import RowCodec
from bento_monitor.serving_config import Batching
from bento_monitor.tracing.ledger.ledger import Ledger

LISTS = RowCodec(
    count=len,
    split=lambda value, edges: [value[a:b] for a, b in pairwise(edges)],
    join_outputs=lambda parts: [row for part in parts for row in part],
)


class Doubler:
    """A function that doubles every row, remembers its batches, and waits for an event."""

    def __init__(self) -> None:
        self.batches: list[list[list[int]]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, values: Sequence[list[int]], rows: int) -> list[list[int]]:
        self.batches.append([list(value) for value in values])
        assert rows == sum(len(value) for value in values)
        await self.gate.wait()
        return [[2 * row for row in value] for value in values]


async def begun(doubler: Doubler) -> None:
    """Wait until the first batch of `doubler` has started."""
    async with asyncio.timeout(30):
        while not doubler.batches:
            await asyncio.sleep(0)


def make(
    run: Any,
    size: int = 8,
    window_ms: float = 0.0,
    max_latency_ms: float = 60_000,
    codec: RowCodec = LISTS,
    **options: Any,
) -> BatchDispatcher:
    return BatchDispatcher(
        "double",
        run,
        codec,
        Batching(size, window_ms),
        max_latency_ms=max_latency_ms,
        overloaded=lambda: TimeoutError("overloaded"),
        **options,
    )


def run(scenario: Callable[[], Any]) -> Any:
    """Run a scenario and fail if a callback of the loop fails: a request would be left without an answer."""
    reports: list[dict[str, Any]] = []

    async def play() -> Any:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
        return await asyncio.wait_for(scenario(), timeout=20)

    result = asyncio.run(play())
    assert reports == []
    return result


def new_ledger() -> Ledger:
    return Ledger(trace_id=1, parent_span_id=0, sampled=True, received_ns=1)
