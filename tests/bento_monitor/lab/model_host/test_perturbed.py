from __future__ import annotations

import numpy as np
import pytest
import torch

from bento_monitor.lab.model_host.export_record import AxisLimit
from bento_monitor.lab.model_host.perturbed import jittered, perturbed_inputs
from bento_monitor.lab.model_host.state import CapturedCall
from bento_monitor.releases.release_record import TensorSpec

SPECS = (
    TensorSpec("x", "float32", (None, None, 3)),
    TensorSpec("ids", "int64", (None, None)),
    TensorSpec("mask", "int64", (None, None)),
)


def call(rows: int, length: int) -> CapturedCall:
    generator = np.random.default_rng(rows)
    mask = (np.arange(length) < generator.integers(1, length, (rows, 1))).astype(np.int64)
    inputs = {
        "x": generator.normal(size=(rows, length, 3)).astype(np.float32),
        "ids": generator.integers(5, 50, (rows, length)),
        "mask": mask,
    }
    return CapturedCall({name: torch.from_numpy(array) for name, array in inputs.items()}, {})


CALLS = [call(1, 4), call(3, 6), call(8, 5)]
FOUND = list(perturbed_inputs(CALLS, SPECS, [AxisLimit("ids", 1, 20)]))


def test_inputs_keep_their_kind_and_agree_in_rows_and_lengths() -> None:
    assert len(FOUND) > 30
    for _, inputs in FOUND:
        assert {name: value.dtype for name, value in inputs.items()} == {
            "x": torch.float32,
            "ids": torch.int64,
            "mask": torch.int64,
        }
        assert inputs["x"].shape[:2] == inputs["ids"].shape == inputs["mask"].shape


def test_ids_stay_in_the_observed_range_and_masks_contain_zeros_and_ones() -> None:
    ids = torch.cat([one.inputs["ids"].flatten() for one in CALLS])
    for _, inputs in FOUND:
        assert inputs["ids"].min() >= ids.min()
        assert inputs["ids"].max() <= ids.max()
        assert set(inputs["mask"].unique().tolist()) <= {0, 1}


def test_scales_sizes_and_branch_limits_are_tried() -> None:
    names = {what for what, _ in FOUND}
    assert {"inputs times -1", "inputs times 100", "a NaN in the inputs", "rows in another order"} <= names
    assert {"a batch of 1", "a batch of 33", "a length of 1", "a length of 21"} <= names
    assert {inputs["ids"].shape[1] for what, inputs in FOUND if what == "a length of 21"} == {21}


def test_perturbed_inputs_are_reproducible() -> None:
    again = list(perturbed_inputs(CALLS, SPECS, [AxisLimit("ids", 1, 20)]))
    for (what, inputs), (other, others) in zip(FOUND, again, strict=True):
        assert what == other
        assert all(torch.equal(value.nan_to_num(), others[name].nan_to_num()) for name, value in inputs.items())


def test_slow_model_is_compared_on_every_kind_of_change_of_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bento_monitor.lab.model_host.perturbed._MAX_FIRST_BASE_S", -1.0)
    few = [what for what, _ in perturbed_inputs(CALLS, SPECS, [AxisLimit("ids", 1, 20)])]
    assert set(few) == {what for what, _ in FOUND}
    assert len(few) < len(FOUND)


def test_model_that_is_slow_on_small_batches_gets_no_large_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bento_monitor.lab.model_host.perturbed._MAX_BEFORE_LARGE_S", -1.0)
    few = {what for what, _ in perturbed_inputs(CALLS, SPECS, [AxisLimit("ids", 1, 20)])}
    assert {what for what, _ in FOUND} - few == {"a batch of 33"}


def test_jitter_has_the_size_of_rounding_and_leaves_integers_unchanged() -> None:
    inputs = CALLS[1].inputs
    found = jittered(inputs)
    assert torch.equal(found["ids"], inputs["ids"])
    assert 0 < float((found["x"] - inputs["x"]).abs().max()) < 1e-5
