from __future__ import annotations

import asyncio
import time

import pytest
import uvloop

from bento_monitor.lab.loadgen import pacer
from bento_monitor.lab.loadgen.alarm import DescriptorAlarm, LoopAlarm, make_alarm

MS = 1_000_000
RUNS = {"asyncio": asyncio.run, "uvloop": uvloop.run}


@pytest.fixture(params=RUNS.values(), ids=RUNS.keys())
def run(request):
    return request.param


@pytest.fixture(params=[DescriptorAlarm, LoopAlarm], ids=["descriptor", "loop"])
def alarm(request, monkeypatch):
    monkeypatch.setattr(pacer, "make_alarm", request.param)
    return request.param


async def pace(times_ns, *, stop_after=None, until_ns=None):
    """Return the planned and actual times of the callbacks; `stop_after` callbacks drop the times after `until_ns`."""
    loop = asyncio.get_running_loop()
    called, ended = [], asyncio.Event()

    def on_time(planned_ns):
        called.append((planned_ns, time.monotonic_ns()))
        if len(called) == stop_after:
            loop.call_soon(paced.stop, until_ns)

    paced = pacer.Pacer(times_ns, loop, on_time, ended.set)
    paced.start()
    async with asyncio.timeout(10):
        await ended.wait()
    return called


def test_times_are_called_back_in_order_and_never_early(run, alarm):
    async def main():
        now_ns = time.monotonic_ns()
        times_ns = [now_ns - MS, *(now_ns + offset * MS for offset in (1, 2, 2, 5, 30))]
        called = await pace(times_ns)
        assert [planned for planned, _ in called] == times_ns
        # A timer of the loop may ring up to its resolution early.
        early_ns = 0 if alarm is DescriptorAlarm else MS
        assert all(at_ns >= planned - early_ns for planned, at_ns in called)

    run(main())


def test_late_client_sends_some_requests_and_then_lets_the_loop_read(run, alarm):
    async def main():
        loop, turns = asyncio.get_running_loop(), []
        times_ns = [time.monotonic_ns()] * 200

        def turn():
            turns.append(len(called))
            if len(called) < len(times_ns):
                loop.call_soon(turn)

        called = []
        ended = asyncio.Event()
        paced = pacer.Pacer(times_ns, loop, called.append, ended.set)
        loop.call_soon(turn)
        paced.start()
        async with asyncio.timeout(10):
            await ended.wait()
        assert len(called) == 200
        assert {64, 128, 192} & set(turns)

    run(main())


def test_times_planned_after_a_stop_are_dropped(run, alarm):
    async def main():
        now_ns = time.monotonic_ns()
        soon, later, never = now_ns + MS, now_ns + 20 * MS, now_ns + 3_600_000 * MS
        called = await pace([soon, later, never], stop_after=1, until_ns=later)
        assert [planned for planned, _ in called] == [soon, later]
        assert await pace([now_ns + MS, never], stop_after=1, until_ns=now_ns + 2 * MS)

    run(main())


def test_empty_plan_ends_immediately(run, alarm):
    assert run(pace([])) == []


def test_this_system_uses_the_descriptor():
    async def main():
        alarm = make_alarm(asyncio.get_running_loop(), lambda: None)
        assert isinstance(alarm, DescriptorAlarm)
        alarm.close()
        alarm.close()

    asyncio.run(main())
