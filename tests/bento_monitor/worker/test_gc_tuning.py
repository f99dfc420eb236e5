"""The tuned garbage collector: it skips the heap of the start, and frees a swapped-out model when idle."""

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
    """A part of a reference cycle, like a module with a reference to its owner."""

    def __init__(self) -> None:
        self.itself = self


async def frozen(collector: HeapTuner) -> None:
    collector.freeze()


def test_heap_is_frozen_at_the_start_and_the_collector_stays_enabled() -> None:
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


def test_older_generations_are_collected_only_after_the_process_has_grown() -> None:
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


def test_collector_without_tuning_is_left_unchanged() -> None:
    gc.set_threshold(123, 4, 5)
    frozen_before, callbacks = gc.get_freeze_count(), list(gc.callbacks)
    collector = HeapTuner(lambda: True, is_tuned=False)
    asyncio.run(frozen(collector))
    assert (gc.get_threshold(), gc.get_freeze_count()) == ((123, 4, 5), frozen_before)
    collector.stop()
    assert (gc.get_threshold(), gc.callbacks) == ((123, 4, 5), callbacks)


@pytest.mark.parametrize(("garbage", "is_eager"), [(10, False), (200, True)])
def test_older_generations_are_collected_often_while_garbage_is_found(garbage: int, is_eager: bool) -> None:
    asyncio.run(frozen(HeapTuner(lambda: False)))
    assert gc.get_threshold()[1] == 1_000_000
    for _ in range(garbage):
        Model()
    gc.collect(1)
    assert gc.get_threshold()[1] == (10 if is_eager else 1_000_000)
    gc.collect(1)
    assert gc.get_threshold()[1] == 1_000_000


def test_stopped_tuner_removes_its_callback() -> None:
    collector = HeapTuner(lambda: False)
    before = list(gc.callbacks)
    asyncio.run(frozen(collector))
    asyncio.run(frozen(collector))
    assert len(gc.callbacks) == len(before) + 1
    collector.stop()
    assert gc.callbacks == before


@pytest.mark.parametrize("is_tuned", [True, False])
def test_swapped_out_model_in_a_cycle_is_freed_only_when_idle(is_tuned: bool) -> None:
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

    gc.disable()  # Python's own collections could free young objects at any moment
    try:
        assert asyncio.run(scenario()) == (True, True)
    finally:
        gc.enable()
    assert (gc.get_freeze_count() > 1000) == is_tuned
