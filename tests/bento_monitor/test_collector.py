"""The collector: the heap of the start is left alone, and what a swap leaves behind is given back when idle."""

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from bento_monitor.collector import Collector


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


class Model:
    """Part of a cycle, as a module with a reference back to its owner is."""

    def __init__(self) -> None:
        self.itself = self


def test_what_is_there_at_the_start_is_frozen_and_the_collector_stays_on() -> None:
    Collector(lambda: True).freeze()
    assert gc.get_freeze_count() > 1000
    assert gc.isenabled()


def test_a_model_in_a_cycle_that_was_swapped_out_is_freed_in_an_idle_moment_and_not_before() -> None:
    async def scenario() -> tuple[bool, bool]:
        is_idle = False
        collector = Collector(lambda: is_idle)
        old = Model()
        seen = weakref.ref(old)
        collector.freeze()
        del old
        collector.renew_when_idle()
        collector.renew_when_idle()
        await asyncio.sleep(0.5)
        was_kept = seen() is not None
        is_idle = True
        for _ in range(50):
            if seen() is None:
                break
            await asyncio.sleep(0.1)
        return was_kept, seen() is None

    assert asyncio.run(scenario()) == (True, True)
    assert gc.get_freeze_count() > 1000
