"""The mask by which a batch is run in parts: every varying axis must be as long as the mask in every call."""

from __future__ import annotations

import numpy as np

from bento_monitor.lab.model_host.capture import _lengths_input, _mask_input
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


X, LENGTHS = TensorSpec("x", "float32", (None, None, 3)), TensorSpec("lengths", "int64", (None,))


def padded(*lengths: int, to: int | None = None) -> CapturedCall:
    inputs = {"x": np.zeros((len(lengths), to or max(lengths), 3), np.float32), "lengths": np.array(lengths)}
    return CapturedCall(inputs, {"y": np.zeros((len(lengths), 2), np.float32)})


def lengths_input(*calls: CapturedCall, outputs: tuple[TensorSpec, ...] = (OUTPUT,)) -> str | None:
    return _lengths_input(calls, (X, LENGTHS), outputs)


def test_lengths_are_used_like_a_mask() -> None:
    assert lengths_input(padded(3, 7, 5), padded(4)) == "lengths"


def test_whole_numbers_that_are_not_the_lengths_are_not_used() -> None:
    assert lengths_input(padded(3, 7, 5), padded(4, 2, to=9)) is None  # padded beyond the largest
    assert lengths_input(padded(3, 7), padded(5, 7)) is None  # a number that is always 7 may mean anything
    assert lengths_input(padded(3, 3), padded(5, 5)) is None
    assert lengths_input(padded(0, 3), padded(5)) is None
    by_token = TensorSpec("y", "float32", (None, None))
    assert lengths_input(padded(3, 7, 5), padded(4), outputs=(by_token,)) is None
