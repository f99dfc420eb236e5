"""The loop lag: the time between two polls, which bounds how long data waited in the kernel."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
import uvloop

from bento_monitor.request.loop_lag import LoopLag

BUSY_S = 0.15


async def reads(steps: Callable[[LoopLag], Awaitable[None]]) -> list[int]:
    """Return the lag of each read of a server while `steps` keeps the loop busy."""
    lags: list[int] = []
    lag = LoopLag()

    class Noting(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            lags.append(lag.read(time.monotonic_ns()))

    loop = asyncio.get_running_loop()
    server = await loop.create_server(Noting, "127.0.0.1", 0)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    lag.start()

    async def send() -> None:
        before = len(lags)
        writer.write(b"x")
        while len(lags) == before:
            await asyncio.sleep(0)

    lag.send = send  # type: ignore[attr-defined]
    await steps(lag)
    lag.stop()
    writer.close()
    server.close()
    return lags


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_lag_after_a_busy_turn_covers_all_of_it(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def steps(lag: LoopLag) -> None:
        await asyncio.sleep(0.2)
        await lag.send()  # type: ignore[attr-defined]
        await asyncio.sleep(0.2)
        time.sleep(BUSY_S)  # noqa: ASYNC251 - a function that blocks the loop
        await lag.send()  # type: ignore[attr-defined]
        await asyncio.sleep(0.2)
        await lag.send()  # type: ignore[attr-defined]

    with asyncio.Runner(loop_factory=loop) as runner:
        idle_ns, busy_ns, after_ns = runner.run(reads(steps))
    # A timer measures the lag; it was due up to one beat after the turn began.
    assert (BUSY_S - 0.06) * 1e9 < busy_ns < 4 * BUSY_S * 1e9
    assert max(idle_ns, after_ns) < busy_ns / 2
