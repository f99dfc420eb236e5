"""Deadlines: each request that is still watched when its time is over is told, and no other."""

import asyncio

from bento_monitor.request.deadlines import Deadlines


def test_only_what_is_still_watched_expires_in_the_order_in_which_it_began() -> None:
    async def scenario() -> list[str]:
        expired: list[str] = []
        deadlines = Deadlines(0.05)
        deadlines.watch(lambda: expired.append("first"))
        ended = deadlines.watch(lambda: expired.append("ended"))
        deadlines.end(ended)
        done = asyncio.Event()
        deadlines.watch(lambda: (expired.append("last"), done.set()))
        await asyncio.wait_for(done.wait(), 5)
        return expired

    assert asyncio.run(scenario()) == ["first", "last"]


def test_a_request_that_begins_while_a_timer_runs_gets_its_whole_time() -> None:
    async def scenario() -> float:
        loop = asyncio.get_running_loop()
        deadlines = Deadlines(0.1)
        deadlines.end(deadlines.watch(lambda: None))
        await asyncio.sleep(0.06)
        begun_s, done = loop.time(), asyncio.Event()
        deadlines.watch(done.set)
        await asyncio.wait_for(done.wait(), 5)
        return loop.time() - begun_s

    assert asyncio.run(scenario()) >= 0.099


def test_one_timer_serves_all_and_none_is_left_when_nothing_is_watched() -> None:
    async def scenario() -> object:
        deadlines = Deadlines(0.02)
        for _ in range(100):
            deadlines.end(deadlines.watch(lambda: None))
        await asyncio.sleep(0.1)
        return deadlines._timer

    assert asyncio.run(scenario()) is None
