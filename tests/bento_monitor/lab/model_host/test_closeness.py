from __future__ import annotations

import numpy as np
import pytest

from bento_monitor.lab.model_host.closeness import largest_difference, same_outputs

LARGE = np.array([[1000.0, 1.0], [2.0, 3.0]], dtype=np.float32)


def test_rounding_is_close_but_a_thousandth_is_not() -> None:
    assert same_outputs([LARGE], [LARGE * np.float32(1 + 1e-5)])
    assert not same_outputs([LARGE], [LARGE + np.float32(2.0)])
    assert largest_difference([LARGE], [LARGE + np.float32(2.0)]) == (2.0, 1000.0)


def test_each_output_is_scaled_by_its_own_largest_value() -> None:
    small = np.array([0.1], dtype=np.float32)
    assert not same_outputs([LARGE, small], [LARGE, small + np.float32(0.05)])


def test_another_shape_or_count_is_never_the_same() -> None:
    assert not same_outputs([LARGE], [LARGE[:1]])
    assert not same_outputs([LARGE], [LARGE, LARGE])
    assert largest_difference([LARGE], [LARGE[:1]])[0] == float("inf")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_values_must_be_in_both_outputs_unless_ignored(value: float) -> None:
    broken = LARGE.copy()
    broken[0, 1] = value
    assert same_outputs([broken], [broken])
    assert not same_outputs([broken], [LARGE])
    assert same_outputs([broken], [LARGE], only_finite=True)
    assert not same_outputs([LARGE], [broken], only_finite=True)


def test_class_ids_are_compared_exactly() -> None:
    ids = np.arange(10)
    assert not same_outputs([ids], [ids + 1])
    assert not same_outputs([ids], [np.where(ids == 3, 4, ids)])
    assert same_outputs([np.array(["a", "b"])], [np.array(["a", "b"])])


def test_graph_may_differ_as_much_as_the_model_under_jitter() -> None:
    assert not same_outputs([LARGE], [LARGE + np.float32(5.0)])
    assert same_outputs([LARGE], [LARGE + np.float32(5.0)], jittered=[LARGE + np.float32(1.0)])
    ids = np.array([1, 2])
    assert same_outputs([ids], [np.array([1, 3])], jittered=[np.array([1, 3])])
