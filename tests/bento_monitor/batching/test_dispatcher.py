"""The dispatcher: correct answers, sizes and windows that change while it runs, and cancelled requests."""

import asyncio
from typing import Any

import pytest
from doubling import Doubler, make, new_ledger, run

from bento_monitor.serving_config import Batching
from bento_monitor.tracing.ledger.ledger import current_ledger


def test_concurrent_requests_share_a_batch_and_get_their_own_answers() -> None:
    async def scenario() -> None:
        double = Doubler()
        dispatcher = make(double)
        answers = await asyncio.gather(*(dispatcher.submit([n]) for n in range(5)))
        assert answers == [[2 * n] for n in range(5)]
        assert double.batches == [[[0], [1], [2], [3], [4]]]

    run(scenario)


def test_batch_never_exceeds_its_size() -> None:
    async def scenario() -> None:
        double = Doubler()
        dispatcher = make(double, size=3)
        await asyncio.gather(*(dispatcher.submit([n]) for n in range(7)))
        assert [len(batch) for batch in double.batches] == [3, 3, 1]

    run(scenario)


def test_request_larger_than_a_batch_is_split_and_joined_in_order() -> None:
    async def scenario() -> None:
        double = Doubler()
        dispatcher = make(double, size=4)
        answers = await asyncio.gather(dispatcher.submit(list(range(10))), dispatcher.submit([100, 101]))
        assert answers == [[2 * n for n in range(10)], [200, 202]]
        assert all(sum(len(value) for value in batch) <= 4 for batch in double.batches)

    run(scenario)


def test_requests_that_wait_during_a_batch_form_the_next_one() -> None:
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


def test_window_holds_a_batch_open_until_it_is_full() -> None:
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


def test_shorter_window_releases_waiting_requests() -> None:
    async def scenario() -> None:
        double = Doubler()
        dispatcher = make(double, size=8, window_ms=60_000)
        waiting = asyncio.ensure_future(dispatcher.submit([1]))
        for _ in range(5):
            await asyncio.sleep(0)
        dispatcher.configure(Batching(8, 0.0))
        assert await waiting == [2]

    run(scenario)


def test_cancelled_request_is_not_computed() -> None:
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


def test_request_that_waited_too_long_fails_and_is_not_computed() -> None:
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


def test_request_of_a_disconnected_client_is_not_computed() -> None:
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
