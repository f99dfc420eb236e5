"""The dispatcher: right answers, own contexts, sizes and windows that can be changed while it runs."""

import asyncio
import gc
import weakref
from collections.abc import Callable, Sequence
from contextvars import Context, ContextVar
from itertools import pairwise
from typing import Any

import pytest

from bento_monitor.batching import BatchDispatcher, BatchHooks
from bento_monitor.batching.job import RowCodec
from bento_monitor.releases.record import Batching
from bento_monitor.tracing.ledger import BatchRecord, Ledger, current_batch, current_ledger

LISTS = RowCodec(
    count=len,
    split=lambda value, edges: [value[a:b] for a, b in pairwise(edges)],
    join_outputs=lambda parts: [row for part in parts for row in part],
)


class Doubler:
    """Doubles every row; remembers its batches, and can be held back by an event."""

    def __init__(self) -> None:
        self.batches: list[list[list[int]]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, values: Sequence[list[int]], rows: int) -> list[list[int]]:
        self.batches.append([list(value) for value in values])
        assert rows == sum(len(value) for value in values)
        await self.gate.wait()
        return [[2 * row for row in value] for value in values]


def make(
    run: Any, size: int = 8, window_ms: float = 0.0, max_latency_ms: float = 60_000, **options: Any
) -> BatchDispatcher:
    return BatchDispatcher(
        "double",
        run,
        LISTS,
        Batching(size, window_ms),
        max_latency_ms=max_latency_ms,
        overloaded=lambda: TimeoutError("overloaded"),
        **options,
    )


def run(scenario: Callable[[], Any]) -> Any:
    return asyncio.run(asyncio.wait_for(scenario(), timeout=20))


def new_ledger() -> Ledger:
    return Ledger(trace_id=1, parent_span_id=0, sampled=True, received_ns=1)


def test_requests_that_arrive_together_share_a_batch_and_each_gets_its_own_answer() -> None:
    async def scenario() -> None:
        double = Doubler()
        dispatcher = make(double)
        answers = await asyncio.gather(*(dispatcher.submit([n]) for n in range(5)))
        assert answers == [[2 * n] for n in range(5)]
        assert double.batches == [[[0], [1], [2], [3], [4]]]

    run(scenario)


def test_a_batch_never_holds_more_rows_than_its_size() -> None:
    async def scenario() -> None:
        double = Doubler()
        dispatcher = make(double, size=3)
        await asyncio.gather(*(dispatcher.submit([n]) for n in range(7)))
        assert [len(batch) for batch in double.batches] == [3, 3, 1]

    run(scenario)


def test_a_request_larger_than_a_batch_is_cut_and_its_answer_joined_in_order() -> None:
    async def scenario() -> None:
        double = Doubler()
        dispatcher = make(double, size=4)
        answers = await asyncio.gather(dispatcher.submit(list(range(10))), dispatcher.submit([100, 101]))
        assert answers == [[2 * n for n in range(10)], [200, 202]]
        assert all(sum(len(value) for value in batch) <= 4 for batch in double.batches)

    run(scenario)


def test_what_waits_while_a_batch_runs_is_the_next_batch() -> None:
    async def scenario() -> None:
        double = Doubler()
        double.gate.clear()
        dispatcher = make(double)
        first = asyncio.ensure_future(dispatcher.submit([0]))
        while not double.batches:
            await asyncio.sleep(0)
        rest = [asyncio.ensure_future(dispatcher.submit([n])) for n in (1, 2, 3)]
        await asyncio.sleep(0)
        assert len(double.batches) == 1
        double.gate.set()
        await asyncio.gather(first, *rest)
        assert double.batches[1] == [[1], [2], [3]]

    run(scenario)


def test_a_window_holds_a_batch_open_until_it_is_full() -> None:
    async def scenario() -> None:
        double = Doubler()
        dispatcher = make(double, size=3, window_ms=60_000)
        waiting = [asyncio.ensure_future(dispatcher.submit([n])) for n in range(2)]
        for _ in range(20):
            await asyncio.sleep(0)
        assert double.batches == []
        await asyncio.gather(dispatcher.submit([2]), *waiting)
        assert double.batches == [[[0], [1], [2]]]

    run(scenario)


def test_a_smaller_window_set_while_requests_wait_releases_them() -> None:
    async def scenario() -> None:
        double = Doubler()
        dispatcher = make(double, size=8, window_ms=60_000)
        waiting = asyncio.ensure_future(dispatcher.submit([1]))
        for _ in range(5):
            await asyncio.sleep(0)
        dispatcher.configure(Batching(8, 0.0))
        assert await waiting == [2]

    run(scenario)


def test_a_request_that_has_gone_is_not_computed() -> None:
    async def scenario() -> None:
        double = Doubler()
        double.gate.clear()
        dispatcher = make(double)
        first = asyncio.ensure_future(dispatcher.submit([0]))
        while not double.batches:
            await asyncio.sleep(0)
        gone, stays = (asyncio.ensure_future(dispatcher.submit([n])) for n in (1, 2))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        double.gate.set()
        await asyncio.gather(first, stays)
        assert double.batches[1:] == [[[2]]]

    run(scenario)


def test_a_request_that_waited_too_long_fails_and_is_not_computed() -> None:
    async def scenario() -> None:
        double = Doubler()
        double.gate.clear()
        dispatcher = make(double, max_latency_ms=20.0)
        first = asyncio.ensure_future(dispatcher.submit([0]))
        while not double.batches:
            await asyncio.sleep(0)
        late = asyncio.ensure_future(dispatcher.submit([1]))
        await asyncio.sleep(0.03)
        double.gate.set()
        with pytest.raises(TimeoutError, match="overloaded"):
            await late
        assert await first == [0]
        assert len(double.batches) == 1

    run(scenario)


def test_a_batch_that_raises_fails_its_requests_and_no_later_ones() -> None:
    async def scenario() -> None:
        calls = 0

        async def fail_once(values: Sequence[list[int]], rows: int) -> list[list[int]]:
            nonlocal calls
            calls += 1
            if calls == 1:
                raise ValueError("bad batch")
            return list(values)

        dispatcher = make(fail_once)
        results = await asyncio.gather(dispatcher.submit([1]), dispatcher.submit([2]), return_exceptions=True)
        assert [str(result) for result in results] == ["bad batch", "bad batch"]
        assert await dispatcher.submit([3]) == [3]

    run(scenario)


def test_too_few_answers_are_an_error_not_a_hang() -> None:
    async def scenario() -> None:
        async def lose_one(values: Sequence[list[int]], rows: int) -> list[list[int]]:
            return list(values)[1:]

        dispatcher = make(lose_one)
        with pytest.raises(RuntimeError, match="0 answers to a batch of 1"):
            await dispatcher.submit([1])

    run(scenario)


def test_every_batch_runs_in_a_context_of_its_own_requests_never_an_earlier_one() -> None:
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


def test_a_batch_stamps_every_ledger_in_it_and_hands_over_its_record() -> None:
    async def scenario() -> None:
        done: list[BatchRecord] = []
        dispatcher = make(Doubler(), hooks=BatchHooks(done=done.append))
        ledgers = [new_ledger() for _ in range(3)]

        async def request(ledger: Ledger) -> None:
            current_ledger.set(ledger)
            await dispatcher.submit([1, 2])

        await asyncio.gather(*(asyncio.create_task(request(ledger)) for ledger in ledgers))
        (record,) = done
        assert record.linked == tuple((ledger.trace_id, ledger.infer_span_id) for ledger in ledgers)
        assert record.size == 3
        assert record.rows == 6
        assert [ledger.batch_position for ledger in ledgers] == [0, 1, 2]
        for ledger in ledgers:
            assert ledger.batch is record
            assert 0 < ledger.queued_ns <= ledger.started_ns <= ledger.ended_ns == record.ended_ns

    run(scenario)


def test_a_row_that_is_an_exception_fails_its_own_request_and_no_other() -> None:
    async def scenario() -> None:
        async def refuse_13(values: Sequence[list[int]], rows: int) -> list[list[Any]]:
            return [[ValueError(f"not {row}") if row == 13 else row for row in value] for value in values]

        dispatcher = make(refuse_13)
        answers = await asyncio.gather(*(dispatcher.submit([n]) for n in (1, 13, 2)), return_exceptions=True)
        assert [answers[0], answers[2]] == [[1], [2]]
        assert isinstance(answers[1], ValueError)

    run(scenario)


def test_a_request_whose_client_has_gone_is_not_computed() -> None:
    class Connection:
        disconnected = False

    async def scenario() -> None:
        double = Doubler()
        double.gate.clear()
        dispatcher = make(double)
        first = asyncio.create_task(dispatcher.submit([1]))
        await asyncio.sleep(0)
        ledger = new_ledger()
        ledger.connection = connection = Connection()

        async def submit_left() -> Any:
            current_ledger.set(ledger)
            return await dispatcher.submit([2])

        left = asyncio.create_task(submit_left())
        stays = asyncio.create_task(dispatcher.submit([3]))
        await asyncio.sleep(0.01)
        connection.disconnected = True
        double.gate.set()
        assert await first == [2]
        assert await stays == [6]
        with pytest.raises(asyncio.CancelledError):
            await left
        assert double.batches == [[[1]], [[3]]]

    run(scenario)


def test_several_batches_run_at_once_each_as_large_as_the_smallest_that_runs() -> None:
    async def scenario() -> None:
        double = Doubler()
        double.gate.clear()
        dispatcher = make(double, max_in_flight=2)
        submitted = [asyncio.create_task(dispatcher.submit([n])) for n in range(3)]
        await asyncio.sleep(0.01)
        for n in range(3, 8):
            submitted.append(asyncio.create_task(dispatcher.submit([n])))
            await asyncio.sleep(0.01)
        assert double.batches == [[[0], [1], [2]], [[3], [4], [5]]]
        double.gate.set()
        assert await asyncio.gather(*submitted) == [[2 * n] for n in range(8)]
        assert double.batches[2:] == [[[6], [7]]]

    run(scenario)


def test_a_full_batch_starts_beside_a_larger_one() -> None:
    async def scenario() -> None:
        double = Doubler()
        double.gate.clear()
        dispatcher = make(double, size=8, max_in_flight=2)
        submitted = [asyncio.create_task(dispatcher.submit([n])) for n in range(8)]
        await asyncio.sleep(0.01)
        dispatcher.configure(Batching(2, 0.0))
        submitted += [asyncio.create_task(dispatcher.submit([n])) for n in (8, 9)]
        await asyncio.sleep(0.01)
        assert double.batches[1:] == [[[8], [9]]]
        double.gate.set()
        await asyncio.gather(*submitted)

    run(scenario)


def test_a_full_batch_is_handed_over_before_the_function_is_free_and_a_smaller_one_is_not() -> None:
    async def scenario() -> None:
        double = Doubler()
        double.gate.clear()
        dispatcher = make(double, size=2, hands_over_early=True)
        submitted = [asyncio.create_task(dispatcher.submit([n])) for n in range(7)]
        await asyncio.sleep(0.01)
        assert double.batches == [[[0], [1]], [[2], [3]]]
        double.gate.set()
        assert await asyncio.gather(*submitted) == [[2 * n] for n in range(7)]
        assert double.batches[2:] == [[[4], [5]], [[6]]]

    run(scenario)


class RefuseThirteen(Doubler):
    """Fails as a whole where one of its rows is 13."""

    async def __call__(self, values: Sequence[list[int]], rows: int) -> list[list[int]]:
        answers = await super().__call__(values, rows)
        if any(13 in value for value in values):
            raise ValueError("13")
        return answers


def test_a_failing_batch_is_run_again_in_halves_where_failures_are_isolated() -> None:
    async def scenario() -> None:
        refuse = RefuseThirteen()
        done: list[BatchRecord] = []
        dispatcher = make(refuse, isolate_failures=True, hooks=BatchHooks(done=done.append))
        rows = (1, 2, 3, 13, 5)
        answers = await asyncio.gather(*(dispatcher.submit([n]) for n in rows), return_exceptions=True)
        assert [answers[index] for index in (0, 1, 2, 4)] == [[2], [4], [6], [10]]
        assert isinstance(answers[3], ValueError)
        assert [len(batch) for batch in refuse.batches] == [5, 2, 3, 1, 2, 1, 1]
        assert [record.error_type for record in done] == [
            *("ValueError", None, "ValueError", None),
            *("ValueError", "ValueError", None),
        ]
        assert await dispatcher.submit([7]) == [14]

    run(scenario)


def test_the_half_of_a_failed_batch_that_nobody_waits_for_is_not_run() -> None:
    async def scenario() -> None:
        refuse = RefuseThirteen()
        refuse.gate.clear()
        dispatcher = make(refuse, isolate_failures=True)
        waiting = [asyncio.create_task(dispatcher.submit([n])) for n in (13, 14)]
        await asyncio.sleep(0.01)
        waiting[1].cancel()
        refuse.gate.set()
        with pytest.raises(ValueError, match="13"):
            await waiting[0]
        await asyncio.sleep(0.01)
        assert refuse.batches == [[[13], [14]], [[13]]]

    run(scenario)


def test_requests_that_are_not_alike_share_no_batch_and_keep_their_order() -> None:
    async def scenario() -> None:
        double = Doubler()
        dispatcher = make(double, size=2)
        asked = [(1, "a"), (2, "b"), (3, "a"), (4, "b"), (5, "a")]
        answers = await asyncio.gather(*(dispatcher.submit([n], kin) for n, kin in asked))
        assert answers == [[2 * n] for n, _ in asked]
        assert double.batches == [[[1], [3]], [[2], [4]], [[5]]]

    run(scenario)


def test_what_the_function_left_in_its_context_is_shared_with_the_others_in_its_batch() -> None:
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


def test_a_batch_that_is_cut_off_leaves_nobody_waiting() -> None:
    async def scenario() -> None:
        double = Doubler()
        double.gate.clear()
        dispatcher = make(double)
        waiting = asyncio.create_task(dispatcher.submit([1]))
        await asyncio.sleep(0.01)
        for task in dispatcher._tasks:
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        double.gate.set()
        assert await dispatcher.submit([2]) == [4]

    run(scenario)


class WatchedLedger(Ledger):
    __slots__ = ("__weakref__",)


def test_what_a_batch_leaves_behind_needs_no_collector_to_be_freed() -> None:
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
