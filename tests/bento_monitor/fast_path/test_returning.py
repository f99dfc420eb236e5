"""What threads have done reaches the loop: at once when few wait, together when many do, and never late."""

from __future__ import annotations

import asyncio
import threading
import time

from bento_monitor.fast_path.returning import LONGEST_S, WAITING_FOR_EACH, Returning
from bento_monitor.fast_path.threads import FunctionThreads


def wakes(waiting: int, items: int) -> tuple[int, list[int]]:
    """How often a loop is woken for what a thread puts, a millisecond apart, and what it settles."""
    settled: list[int] = []

    async def main() -> int:
        loop = asyncio.get_running_loop()
        returning = Returning[int](lambda: waiting, settled.append)
        count, wake = 0, loop.call_soon_threadsafe

        def counted(*args: object) -> asyncio.Handle:
            nonlocal count
            count += 1
            return wake(*args)  # type: ignore[arg-type]

        loop.call_soon_threadsafe = counted  # type: ignore[method-assign,assignment]

        def put() -> None:
            for item in range(items):
                returning.put(loop, item)
                time.sleep(0.001)

        for _ in range(2):  # the first time it learns how far apart they are
            settled.clear()
            count = 0
            thread = threading.Thread(target=put)
            thread.start()
            while thread.is_alive() or len(settled) < items:
                returning.look_soon(loop)
                await asyncio.sleep(0.0005)
            thread.join()
        return count

    return asyncio.run(main()), settled


def test_each_is_returned_at_once_where_few_wait() -> None:
    assert wakes(waiting=2 * WAITING_FOR_EACH - 1, items=60) == (60, list(range(60)))


def test_some_are_returned_together_in_order_where_many_wait() -> None:
    count, settled = wakes(waiting=8 * WAITING_FOR_EACH, items=60)
    assert count < 30
    assert settled == list(range(60))


def test_an_answer_does_not_wait_for_the_next_function() -> None:
    """Twenty short functions teach it to return some together; then one that takes long follows a short one."""

    async def scenario() -> float:
        threads = FunctionThreads(1)
        gate = threading.Event()
        try:
            short = [asyncio.ensure_future(threads.run(time.sleep, 0.0005)) for _ in range(60)]
            long = asyncio.ensure_future(threads.run(gate.wait, 10))
            queued = [asyncio.ensure_future(threads.run(time.monotonic)) for _ in range(60)]
            started_s = time.monotonic()
            await asyncio.wait_for(asyncio.gather(*short), timeout=5)
            took_s = time.monotonic() - started_s
            gate.set()
            await asyncio.gather(long, *queued)
            return took_s
        finally:
            threads.stop()

    assert asyncio.run(scenario()) < 2  # the long one would have held it for 10 s
    assert LONGEST_S < 1
