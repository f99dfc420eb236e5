"""The mask by which a batch is run in parts: every varying axis must be as long as the mask in every call."""

from __future__ import annotations

import numpy as np

from bento_monitor.lab.model_host.capture import _mask_input
from bento_monitor.lab.model_host.state import CapturedCall
from bento_monitor.releases.release_record import TensorSpec

IDS, MASK = TensorSpec("ids", "int64", (None, None)), TensorSpec("mask", "int64", (None, None))
CANDIDATES = TensorSpec("candidates", "int64", (None, None))
OUTPUT = TensorSpec("y", "float32", (None, 2))


def call(rows: int, length: int, candidates: int) -> CapturedCall:
    mask = np.ones((rows, length), np.int64)
    mask[0, 1:] = 0
    inputs = {"ids": mask, "mask": mask, "candidates": np.ones((rows, candidates), np.int64)}
    return CapturedCall(inputs, {"y": np.zeros((rows, 2), np.float32)})


def test_mask_is_used_if_all_inputs_are_as_long() -> None:
    calls = [call(2, 4, 4), call(3, 6, 6)]
    assert _mask_input(calls, (IDS, MASK, CANDIDATES), (OUTPUT,)) == "mask"


def test_axis_with_another_meaning_than_the_length_keeps_batches_whole() -> None:
    calls = [call(2, 4, 4), call(3, 6, 5)]  # as long as the mask once, by chance
    assert _mask_input(calls, (IDS, MASK, CANDIDATES), (OUTPUT,)) is None
