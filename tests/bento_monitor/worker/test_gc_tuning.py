"""The collector: the heap of the start is left alone, and what a swap leaves behind is given back when idle."""

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from bento_monitor.worker.gc_tuning import HeapTuner


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    thresholds, callbacks = gc.get_threshold(), list(gc.callbacks)
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)
    gc.callbacks[:] = callbacks


class Model:
    """Part of a cycle, as a module with a reference back to its owner is."""

    def __init__(self) -> None:
        self.itself = self


async def frozen(collector: HeapTuner) -> None:
    collector.freeze()


def test_what_is_there_at_the_start_is_frozen_and_the_collector_stays_on() -> None:
    asyncio.run(frozen(HeapTuner(lambda: True)))
    assert gc.get_freeze_count() > 1000
    assert gc.isenabled()


class Process:
    size_bytes = 100 * 2**20

    def __call__(self) -> int:
        return self.size_bytes


def young_collections(count: int) -> None:
    for _ in range(count):
        gc.collect(0)


def test_older_generations_are_walked_once_the_process_has_grown_and_not_before() -> None:
    async def scenario() -> list[bool]:
        process = Process()
        collector = HeapTuner(lambda: False, process)
        collector.freeze()
        old = Model()
        seen = weakref.ref(old)
        young_collections(2)  # it is old now
        del old
        found = []
        for grown_mib in (0, 31, 33):
            process.size_bytes = (100 + grown_mib) * 2**20
            young_collections(100)
            await asyncio.sleep(0)
            found.append(seen() is None)
        return found

    assert asyncio.run(scenario()) == [False, False, True]


def test_one_that_is_not_tuned_is_as_the_service_left_it() -> None:
    gc.set_threshold(123, 4, 5)
    frozen_before, callbacks = gc.get_freeze_count(), list(gc.callbacks)
    collector = HeapTuner(lambda: True, is_tuned=False)
    asyncio.run(frozen(collector))
    assert (gc.get_threshold(), gc.get_freeze_count()) == ((123, 4, 5), frozen_before)
    collector.stop()
    assert (gc.get_threshold(), gc.callbacks) == ((123, 4, 5), callbacks)


@pytest.mark.parametrize(("garbage", "is_eager"), [(10, False), (200, True)])
def test_they_are_walked_often_for_as_long_as_garbage_is_found(garbage: int, is_eager: bool) -> None:
    asyncio.run(frozen(HeapTuner(lambda: False)))
    assert gc.get_threshold()[1] == 1_000_000
    for _ in range(garbage):
        Model()
    gc.collect(1)
    assert gc.get_threshold()[1] == (10 if is_eager else 1_000_000)
    gc.collect(1)
    assert gc.get_threshold()[1] == 1_000_000


def test_one_that_is_stopped_watches_no_more() -> None:
    collector = HeapTuner(lambda: False)
    before = list(gc.callbacks)
    asyncio.run(frozen(collector))
    asyncio.run(frozen(collector))
    assert len(gc.callbacks) == len(before) + 1
    collector.stop()
    assert gc.callbacks == before


@pytest.mark.parametrize("is_tuned", [True, False])
def test_a_model_in_a_cycle_that_was_swapped_out_is_freed_in_an_idle_moment_and_not_before(is_tuned: bool) -> None:
    async def scenario() -> tuple[bool, bool]:
        is_idle = False
        collector = HeapTuner(lambda: is_idle, is_tuned=is_tuned)
        old = Model()
        seen = weakref.ref(old)
        collector.freeze()
        del old
        collector.refreeze_when_idle()
        collector.refreeze_when_idle()
        await asyncio.sleep(0.5)
        was_kept = seen() is not None
        is_idle = True
        for _ in range(50):
            if seen() is None:
                break
            await asyncio.sleep(0.1)
        return was_kept, seen() is None

    gc.disable()  # Python's own collections would free what is young at any moment
    try:
        assert asyncio.run(scenario()) == (True, True)
    finally:
        gc.enable()
    assert (gc.get_freeze_count() > 1000) == is_tuned
