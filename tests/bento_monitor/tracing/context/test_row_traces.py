"""The trace id of each row of a batch: that of the row's own request, also if requests are split or not monitored."""

import asyncio
from collections.abc import Sequence
from contextvars import copy_context
from itertools import pairwise

import pytest

from bento_monitor import request_trace_ids
from bento_monitor.batching import BatchDispatcher
from bento_monitor.batching.job import RowCodec
from bento_monitor.serving_config import Batching
from bento_monitor.tracing.ledger.ledger import Ledger, current_ledger

CODEC = RowCodec(
    count=len,
    split=lambda value, edges: [value[a:b] for a, b in pairwise(edges)],
    join_outputs=lambda parts: [row for part in parts for row in part],
)


async def answer(values: Sequence[list[int]], rows: int) -> list[list[str | None]]:
    """Answer each row with the trace id that is found for it."""
    ids = request_trace_ids()
    assert len(ids) == rows
    found = iter(ids)
    return [[next(found) for _ in value] for value in values]


async def submit(dispatcher: BatchDispatcher, rows: int, trace_id: int | None) -> list[str | None]:
    if trace_id is None:
        return await dispatcher.submit([0] * rows)

    def start() -> asyncio.Task[list[str | None]]:
        current_ledger.set(Ledger(trace_id=trace_id, parent_span_id=0, sampled=False, received_ns=1))
        return asyncio.ensure_future(dispatcher.submit([0] * rows))

    return await copy_context().run(start)


@pytest.mark.parametrize("size", [3, 100])
def test_each_row_has_the_trace_of_its_own_request(size: int) -> None:
    sent = [(1, 0xA), (4, 0xB), (2, None), (5, 0xC), (1, 0xD)]

    async def scenario() -> list[list[str | None]]:
        dispatcher = BatchDispatcher(
            "api", answer, CODEC, Batching(size, 0.0), max_latency_ms=60_000, overloaded=TimeoutError
        )
        return await asyncio.gather(*(submit(dispatcher, rows, trace_id) for rows, trace_id in sent))

    answers = asyncio.run(scenario())
    assert answers == [[None if trace_id is None else f"{trace_id:032x}"] * rows for rows, trace_id in sent]


def test_outside_of_a_batch_there_is_one_id_or_none() -> None:
    assert request_trace_ids() == []

    def within() -> list[str | None]:
        current_ledger.set(Ledger(trace_id=0xAB, parent_span_id=0, sampled=True, received_ns=1))
        return request_trace_ids()

    assert copy_context().run(within) == [f"{0xAB:032x}"]


def test_request_that_has_ended_is_not_the_one_that_runs() -> None:
    ledger = Ledger(trace_id=0xAB, parent_span_id=0, sampled=True, received_ns=1)

    def within() -> list[str | None]:
        current_ledger.set(ledger)
        ledger.is_closed = True
        return request_trace_ids()

    assert copy_context().run(within) == []
