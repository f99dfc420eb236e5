"""The context, the ledger and the batch_key that each request of a batch keeps."""

import asyncio
import gc
import weakref
from collections.abc import Sequence
from contextvars import Context, ContextVar
from typing import Any

from doubling import Doubler, make, new_ledger, run

from bento_monitor.batching import BatchHooks
from bento_monitor.tracing.ledger.ledger import BatchRecord, Ledger, current_batch, current_ledger


def test_batch_runs_in_the_context_of_its_own_requests() -> None:
    who: ContextVar[str] = ContextVar("who")

    async def scenario() -> None:
        seen: list[str] = []

        async def note(values: Sequence[list[int]], rows: int) -> list[list[int]]:
            seen.append(who.get())
            assert current_ledger.get() is None
            assert current_batch.get() is not None
            return list(values)

        dispatcher = make(note)

        async def request(name: str) -> None:
            who.set(name)
            current_ledger.set(new_ledger())
            await dispatcher.submit([1])

        for name in ("a", "b", "c"):
            await asyncio.create_task(request(name))
        assert seen == ["a", "b", "c"]

    run(scenario)


def test_batch_stamps_its_ledgers_and_passes_on_its_record() -> None:
    async def scenario() -> None:
        done: list[BatchRecord] = []
        dispatcher = make(Doubler(), hooks=BatchHooks(done=done.append))
        ledgers = [new_ledger() for _ in range(3)]

        async def request(ledger: Ledger) -> None:
            current_ledger.set(ledger)
            await dispatcher.submit([1, 2])

        await asyncio.gather(*(asyncio.create_task(request(ledger)) for ledger in ledgers))
        (record,) = done
        assert not record.is_over
        for ledger in ledgers:
            record.leave(ledger)
        assert record.is_over
        assert record.linked == [(ledger.trace_id, ledger.infer_span_id) for ledger in ledgers]
        assert record.size == 3
        assert record.rows == 6
        assert [ledger.batch_position for ledger in ledgers] == [0, 1, 2]
        for ledger in ledgers:
            assert ledger.batch is record
            assert 0 < ledger.queued_ns <= ledger.started_ns <= ledger.ended_ns == record.ended_ns

    run(scenario)


def test_requests_of_different_batch_keys_share_no_batch_and_keep_their_order() -> None:
    async def scenario() -> None:
        double = Doubler()
        dispatcher = make(double, size=2)
        asked = [(1, "a"), (2, "b"), (3, "a"), (4, "b"), (5, "a")]
        answers = await asyncio.gather(*(dispatcher.submit([n], batch_key) for n, batch_key in asked))
        assert answers == [[2 * n] for n, _ in asked]
        assert double.batches == [[[1], [3]], [[2], [4]], [[5]]]

    run(scenario)


def test_context_changes_of_the_function_reach_every_request_of_the_batch() -> None:
    status: ContextVar[list[int]] = ContextVar("status")

    async def scenario() -> None:
        async def set_status(values: Sequence[list[int]], rows: int) -> list[list[int]]:
            status.get()[0] = 201
            return list(values)

        def share(first: Context, other: Context) -> None:
            other[status][0] = first[status][0]

        dispatcher = make(set_status, hooks=BatchHooks(share=share))

        async def request() -> int:
            status.set([200])
            await dispatcher.submit([1])
            return status.get()[0]

        assert await asyncio.gather(request(), request(), request()) == [201, 201, 201]

    run(scenario)


class WatchedLedger(Ledger):
    __slots__ = ("__weakref__",)


def test_finished_batch_is_freed_without_the_garbage_collector() -> None:
    async def scenario() -> list[Any]:
        dispatcher = make(Doubler())
        seen = []

        async def request() -> None:
            ledger = WatchedLedger(trace_id=1, parent_span_id=0, sampled=True, received_ns=1)
            seen.append(weakref.ref(ledger))
            current_ledger.set(ledger)
            await dispatcher.submit([1])

        await asyncio.gather(*(asyncio.create_task(request()) for _ in range(3)))
        await asyncio.sleep(0)
        return [ref() for ref in seen]

    gc.disable()
    try:
        assert run(scenario) == [None] * 3
    finally:
        gc.enable()
