"""Parts of a batch that run concurrently: the same answers in the same order, and a real overlap in time."""

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from bento_monitor.backends.sub_batches import SubBatches
from bento_monitor.releases.release_record import TensorSpec

INPUTS = (TensorSpec("ids", "int64", (None, None)), TensorSpec("mask", "int64", (None, None)))
OUTPUTS = (TensorSpec("sum", "float32", (None, 1)),)


class SumOfRows:
    """A backend that sums the tokens of each row; with a barrier, a call waits for the barrier's other calls."""

    def __init__(self, barrier: threading.Barrier | None = None) -> None:
        self._barrier = barrier

    def run(self, inputs: Mapping[str, Any]) -> list[Any]:
        if self._barrier is not None:
            self._barrier.wait(timeout=10)
        return [(inputs["ids"] * inputs["mask"]).sum(axis=1, keepdims=True).astype(np.float32)]


def batch(rows: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(5)
    lengths = generator.integers(1, 30, rows)
    mask = (np.arange(30) < lengths[:, None]).astype(np.int64)
    return {"ids": generator.integers(1, 100, (rows, 30)), "mask": mask}


def test_streams_give_the_answers_of_the_whole_batch_in_order() -> None:
    inputs = batch(37)
    (whole,) = SumOfRows().run(inputs)
    (parts,) = SubBatches(SumOfRows(), 2, "mask", inputs=INPUTS, outputs=OUTPUTS, streams=3).run(inputs)
    np.testing.assert_array_equal(parts, whole)


def test_one_part_per_stream_runs_at_the_same_time() -> None:
    inputs = batch(8)
    backend = SumOfRows(threading.Barrier(2))
    SubBatches(backend, 1, "mask", inputs=INPUTS, outputs=OUTPUTS, streams=2).run(inputs)


def test_stream_threads_end_with_their_owner() -> None:
    before = {thread for thread in threading.enumerate() if thread.name.startswith("bento-monitor-stream")}
    streams = SubBatches(SumOfRows(), 1, "mask", inputs=INPUTS, outputs=OUTPUTS, streams=2)
    streams.run(batch(8))
    started = {t for t in threading.enumerate() if t.name.startswith("bento-monitor-stream")} - before
    assert started
    del streams
    for thread in started:
        thread.join(timeout=10)
    assert not any(thread.is_alive() for thread in started)
