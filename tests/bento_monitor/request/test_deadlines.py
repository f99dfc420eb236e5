"""Deadlines: exactly the requests that are still watched at the end of their time expire."""

import asyncio

from bento_monitor.request.deadlines import Deadlines


def test_only_watched_requests_expire_in_the_order_of_their_start() -> None:
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


def test_request_that_starts_during_a_timer_gets_its_whole_time() -> None:
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


def test_one_timer_serves_all_requests_and_ends_with_the_last() -> None:
    async def scenario() -> object:
        deadlines = Deadlines(0.02)
        for _ in range(100):
            deadlines.end(deadlines.watch(lambda: None))
        await asyncio.sleep(0.1)
        return deadlines._timer

    assert asyncio.run(scenario()) is None
