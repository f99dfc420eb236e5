"""Failing batches: which requests fail, and which are run again."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from doubling import LISTS, Doubler, begun, make, run

from bento_monitor.batching import BatchHooks
from bento_monitor.tracing.ledger.ledger import BatchRecord


def test_failing_batch_fails_its_requests_and_no_later_ones() -> None:
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


def test_too_few_answers_raise_an_error() -> None:
    async def scenario() -> None:
        async def lose_one(values: Sequence[list[int]], rows: int) -> list[list[int]]:
            return list(values)[1:]

        dispatcher = make(lose_one)
        with pytest.raises(RuntimeError, match="0 answers to a batch of 1"):
            await dispatcher.submit([1])

    run(scenario)


def test_exception_as_a_row_fails_only_its_own_request() -> None:
    async def scenario() -> None:
        async def refuse_13(values: Sequence[list[int]], rows: int) -> list[list[Any]]:
            return [[ValueError(f"not {row}") if row == 13 else row for row in value] for value in values]

        dispatcher = make(refuse_13)
        answers = await asyncio.gather(*(dispatcher.submit([n]) for n in (1, 13, 2)), return_exceptions=True)
        assert [answers[0], answers[2]] == [[1], [2]]
        assert isinstance(answers[1], ValueError)

    run(scenario)


class RefuseThirteen(Doubler):
    """A doubler that fails the whole batch if one of its rows is 13."""

    async def __call__(self, values: Sequence[list[int]], rows: int) -> list[list[int]]:
        answers = await super().__call__(values, rows)
        if any(13 in value for value in values):
            raise ValueError("13")
        return answers


def test_failing_batch_is_rerun_in_halves_if_failures_are_isolated() -> None:
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


def test_half_of_a_failed_batch_without_waiting_requests_is_not_rerun() -> None:
    async def scenario() -> None:
        refuse = RefuseThirteen()
        refuse.gate.clear()
        dispatcher = make(refuse, isolate_failures=True)
        waiting = [asyncio.create_task(dispatcher.submit([n])) for n in (13, 14)]
        await begun(refuse)
        waiting[1].cancel()
        refuse.gate.set()
        with pytest.raises(ValueError, match="13"):
            await waiting[0]
        await asyncio.sleep(0.01)
        assert refuse.batches == [[[13], [14]], [[13]]]

    run(scenario)


def test_cancelled_batch_leaves_no_request_waiting() -> None:
    async def scenario() -> None:
        double = Doubler()
        double.gate.clear()
        dispatcher = make(double)
        waiting = asyncio.create_task(dispatcher.submit([1]))
        await begun(double)
        for task in dispatcher._tasks:
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        double.gate.set()
        assert await dispatcher.submit([2]) == [4]

    run(scenario)


def refuse(*_: Any) -> Any:
    raise ValueError("It cannot be done.")


@pytest.mark.parametrize("step", ["split", "join_outputs"])
def test_request_that_cannot_be_split_or_joined_fails_alone(step: str) -> None:
    async def scenario() -> list[Any]:
        dispatcher = make(Doubler(), size=2, codec=replace(LISTS, **{step: refuse}))
        requests = [dispatcher.submit([1, 2, 3]), dispatcher.submit([4])]
        return await asyncio.gather(*requests, return_exceptions=True)

    failed, answered = run(scenario)
    assert isinstance(failed, ValueError)
    assert answered == [8]
