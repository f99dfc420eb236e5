from __future__ import annotations

import numpy as np
import pytest
import torch

from bento_monitor.errors import MeasurementError
from bento_monitor.profiling.bare import fit_line, measure_bare, profile_calls, rows_of
from bento_monitor.profiling.record import BatchTime
from bento_monitor.profiling.subject import Target
from bento_monitor.profiling.torch_operators import read_operators

SERVICE = """
import time
import bentoml
import numpy as np

@bentoml.service
class Bare:
    @bentoml.api(batchable=True, max_batch_size=4)
    def batched(self, xs: list[int]) -> list[int]:
        time.sleep(0.002 + 0.001 * len(xs))
        return xs

    @bentoml.api
    def alone(self, x: int) -> int:
        return x

    @bentoml.api
    async def on_the_loop(self, x: int) -> int:
        return x

    @bentoml.api
    def broken(self, x: int) -> int:
        raise ValueError("no")
"""


@pytest.fixture
def target(tmp_path):
    (tmp_path / "bare_service.py").write_text(SERVICE)
    return Target("bare_service:Bare", tmp_path)


def test_a_function_with_batches_is_called_with_each_size_up_to_its_own(target):
    found = measure_bare(target, "/batched", (b'{"xs": [1, 2, 3]}', b'{"xs": [4]}'), seconds=0.1)
    assert found is not None
    assert [each.batch_size for each in found.times] == [1, 2, 4]
    assert all(each.median_ms >= 2 + each.batch_size for each in found.times)
    assert found.items_per_s > 0
    assert found.alpha_ms is not None
    assert min(found.gemm_gflops, found.copy_gib_per_s) > 0
    assert (found.gflop_per_item, found.peak_share, found.operators) == (None, None, ())


def test_a_function_without_batches_is_called_with_one(target):
    found = measure_bare(target, "/alone", (b'{"x": 1}',), seconds=0.1)
    assert found is not None
    assert [each.batch_size for each in found.times] == [1]
    assert (found.alpha_ms, found.beta_ms) == (None, None)


def test_a_function_of_the_loop_is_not_called_alone(target):
    assert measure_bare(target, "/on_the_loop", (b'{"x": 1}',)) is None


def test_a_function_that_fails_is_an_error_that_says_how(target):
    with pytest.raises(MeasurementError, match="ValueError: no"):
        measure_bare(target, "/broken", (b'{"x": 1}',))


def test_the_line_through_the_times_is_what_they_are_made_of():
    times = [BatchTime(size, 3 + 0.5 * size, 9) for size in (1, 2, 4, 8, 32)]
    assert fit_line(times) == pytest.approx((3, 0.5))


def test_a_batch_is_filled_with_its_rows_over_again():
    assert rows_of([1, 2, 3], 5) == [1, 2, 3, 1, 2]


def test_the_arithmetic_of_torch_is_counted_and_named():
    weights = torch.rand(256, 256)
    inputs = {size: [torch.rand(size, 256)] for size in (1, 16)}
    found = profile_calls(inputs, lambda value: value @ weights, seconds=0.1)
    assert found.gflop_per_item == pytest.approx(2 * 256 * 256 / 1e9)
    assert found.peak_share is not None
    assert 0 < found.peak_share < 2
    assert found.operators[0][0] == "aten::mm"


def test_without_torch_no_operator_is_named(monkeypatch):
    import sys

    monkeypatch.delitem(sys.modules, "torch")
    assert read_operators(lambda: np.ones(3)).shares == ()
