from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch

from bento_monitor.backends.arrays import to_numpy, to_torch
from bento_monitor.backends.sub_batches import SubBatches, prefix_lengths, row_lengths
from bento_monitor.errors import ReleaseError
from bento_monitor.releases.release_record import TensorSpec

INPUTS = (TensorSpec("ids", "int64", (None, None)), TensorSpec("mask", "int64", (None, None)))
OUTPUTS = (TensorSpec("output", "float32", (None, 2)),)


@dataclass
class MaskedMean:
    """A backend whose answer for a row must not depend on padding: the mean of its ids, and its length."""

    shapes: list[tuple[int, ...]] = field(default_factory=list)

    def run(self, inputs: Mapping[str, Any]) -> list[Any]:
        self.shapes.append(tuple(inputs["ids"].shape))
        ids, mask = to_numpy(inputs["ids"]), to_numpy(inputs["mask"])
        answer = np.stack([(ids * mask).sum(1) / mask.sum(1), mask.sum(1)], axis=1).astype(np.float32)
        return [to_torch(answer) if isinstance(inputs["ids"], torch.Tensor) else answer]


def padded(lengths: list[int], width: int) -> dict[str, Any]:
    generator = np.random.default_rng(0)
    mask = (np.arange(width) < np.array(lengths)[:, None]).astype(np.int64)
    return {"ids": generator.integers(1, 100, mask.shape) * mask, "mask": mask}


def sub_batches(backend: MaskedMean, size: int) -> SubBatches:
    return SubBatches(backend, size, "mask", inputs=INPUTS, outputs=OUTPUTS)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 100])
@pytest.mark.parametrize("as_torch", [False, True])
def test_every_row_gets_its_own_answer_in_its_own_place(size: int, as_torch: bool) -> None:
    inputs = padded([3, 9, 1, 5, 5, 2, 12, 7, 1], 12)
    expected = MaskedMean().run(inputs)[0]
    given = {name: to_torch(value) for name, value in inputs.items()} if as_torch else inputs
    (found,) = sub_batches(MaskedMean(), size).run(given)
    assert isinstance(found, torch.Tensor) == as_torch
    np.testing.assert_array_equal(to_numpy(found), expected)


def test_each_part_is_trimmed_to_its_own_longest_row() -> None:
    backend = MaskedMean()
    sub_batches(backend, 2).run(padded([3, 9, 1, 5, 4], 16))
    assert backend.shapes == [(2, 9), (2, 4), (1, 1)]


@pytest.mark.parametrize("as_torch", [False, True])
@pytest.mark.parametrize("rows", [1, 4, 5, 9])
def test_rows_without_a_mask_are_run_in_their_order(rows: int, as_torch: bool) -> None:
    inputs = padded([3, 9, 1, 5, 5, 2, 12, 7, 1][:rows], 12)
    given = {name: to_torch(value) for name, value in inputs.items()} if as_torch else inputs
    backend = MaskedMean()
    (found,) = SubBatches(backend, 4, None, inputs=INPUTS, outputs=OUTPUTS, streams=2).run(given)
    np.testing.assert_array_equal(to_numpy(found), MaskedMean().run(inputs)[0])
    assert sorted(backend.shapes) == sorted([(min(4, rows - start), 12) for start in range(0, rows, 4)])


def test_fixed_axis_is_not_trimmed_even_if_as_long_as_the_mask() -> None:
    widths = []

    class Widths(MaskedMean):
        def run(self, inputs: Mapping[str, Any]) -> list[Any]:
            widths.append(inputs["features"].shape[1])
            return super().run(inputs)

    inputs = padded([1, 3], 6) | {"features": np.zeros((2, 6), dtype=np.float32)}
    specs = (*INPUTS, TensorSpec("features", "float32", (None, 6)))
    SubBatches(Widths(), 1, "mask", inputs=specs, outputs=OUTPUTS).run(inputs)
    assert widths == [6, 6]


def test_batch_with_another_mask_than_ones_then_zeros_is_run_whole() -> None:
    backend = MaskedMean()
    inputs = padded([3, 5, 2], 6)
    inputs["mask"][1] = [0, 1, 1, 0, 0, 1]
    sub_batches(backend, 1).run(inputs)
    assert backend.shapes == [(3, 6)]


@pytest.mark.parametrize(
    ("mask", "lengths"),
    [
        ([[1, 1, 0], [1, 0, 0]], [2, 1]),
        ([[True, False], [True, True]], [1, 2]),
        ([[1.0, 0.0], [0.0, 0.0]], [1, 0]),
        ([[1, 0, 1]], None),
        ([[2, 0]], None),
        ([[1, -1]], None),
        ([1, 1], None),
    ],
)
def test_lengths_are_read_only_from_ones_then_zeros(mask: list[Any], lengths: list[int] | None) -> None:
    found = prefix_lengths(np.array(mask))
    assert (None if found is None else found.tolist()) == lengths


def test_output_along_the_sequence_is_refused() -> None:
    with pytest.raises(ReleaseError, match="run it whole"):
        SubBatches(MaskedMean(), 2, "mask", inputs=INPUTS, outputs=(TensorSpec("tokens", "float32", (None, None, 8)),))


def test_mask_that_is_not_an_input_is_refused() -> None:
    with pytest.raises(ReleaseError, match="mask_input"):
        SubBatches(MaskedMean(), 2, "other", inputs=INPUTS, outputs=OUTPUTS)


def test_input_without_the_batch_axis_is_refused() -> None:
    positions = TensorSpec("positions", "int64", (1, None))
    with pytest.raises(ReleaseError, match="positions"):
        SubBatches(MaskedMean(), 2, "mask", inputs=(*INPUTS, positions), outputs=OUTPUTS)


def test_varying_axis_of_another_length_than_the_mask_keeps_batch_whole() -> None:
    backend = MaskedMean()
    inputs = padded([1, 3], 6) | {"candidates": np.zeros((2, 5), dtype=np.int64)}
    specs = (*INPUTS, TensorSpec("candidates", "int64", (None, None)))
    SubBatches(backend, 1, "mask", inputs=specs, outputs=OUTPUTS).run(inputs)
    assert backend.shapes == [(2, 6)]


@dataclass
class MeanByLength:
    """A backend that takes the lengths themselves: the mean of the first `lengths` numbers of each row."""

    shapes: list[tuple[int, ...]] = field(default_factory=list)

    def run(self, inputs: Mapping[str, Any]) -> list[Any]:
        self.shapes.append(tuple(inputs["x"].shape))
        means = [row[: max(1, length)].mean() for row, length in zip(inputs["x"], inputs["lengths"], strict=True)]
        return [np.array(means, np.float32)]


def by_length(backend: MeanByLength, size: int) -> SubBatches:
    inputs = (TensorSpec("x", "float32", (None, None)), TensorSpec("lengths", "int64", (None,)))
    return SubBatches(backend, size, "lengths", inputs=inputs, outputs=(TensorSpec("y", "float32", (None,)),))


def with_lengths(lengths: list[int], width: int) -> dict[str, Any]:
    x = np.random.default_rng(0).random((len(lengths), width)).astype(np.float32)
    return {"x": x, "lengths": np.array(lengths)}


def test_lengths_sort_split_and_trim_as_a_mask_does() -> None:
    backend = MeanByLength()
    inputs = with_lengths([3, 9, 1, 5, 4], 16)
    (found,) = by_length(backend, 2).run(inputs)
    assert backend.shapes == [(2, 9), (2, 4), (1, 1)]
    np.testing.assert_allclose(found, MeanByLength().run(inputs)[0])


@pytest.mark.parametrize("lengths", [[3, 17], [0, 3], [-1, 3]], ids=["longer than its row", "none", "below none"])
def test_lengths_that_make_no_sense_run_whole(lengths: list[int]) -> None:
    backend = MeanByLength()
    by_length(backend, 1).run(with_lengths(lengths, 16))
    assert backend.shapes == [(2, 16)]


def test_full_batch_that_fits_one_part_is_not_copied() -> None:
    backend = MeanByLength()
    by_length(backend, 4).run(with_lengths([3, 16, 2], 16))
    assert backend.shapes == [(3, 16)]


def test_row_lengths_are_whole_numbers_above_zero() -> None:
    assert row_lengths(np.array([2.0, 3.0])) is None
    assert row_lengths(np.array([], np.int64)) is None
    assert row_lengths(np.array([2, 3], np.int32)).tolist() == [2, 3]  # type: ignore[union-attr]
