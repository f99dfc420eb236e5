"""Several concurrent batches, and a batch that is handed over early."""

import asyncio

from doubling import Doubler, make, run

from bento_monitor.serving_config import Batching


def test_concurrent_batches_are_as_large_as_the_smallest_running_one() -> None:
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


def test_full_batch_starts_during_a_larger_one() -> None:
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


def test_only_a_full_batch_is_handed_over_before_the_function_is_free() -> None:
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
