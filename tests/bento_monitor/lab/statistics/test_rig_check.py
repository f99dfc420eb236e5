from __future__ import annotations

import math

import numpy as np
import pytest

from bento_monitor.errors import MeasurementError
from bento_monitor.lab.statistics import check_rig

NOISE = 0.04
RUNS = 4000


def share_refused(shift: float, pairs: int) -> float:
    runs = np.random.default_rng(7).normal(shift, NOISE, (RUNS, pairs))
    return sum(not check_rig(run).holds for run in runs) / RUNS


@pytest.mark.parametrize("pairs", [5, 8, 10, 30])
def test_equal_arms_are_refused_once_in_a_hundred_at_most(pairs):
    assert share_refused(0.0, pairs) <= 0.01


@pytest.mark.parametrize("pairs", [5, 8, 10, 30])
def test_arms_that_differ_by_the_indifference_zone_are_refused_once_in_a_hundred(pairs):
    assert share_refused(math.log(1.03), pairs) == pytest.approx(0.01, abs=0.005)


def test_a_baseline_that_differs_from_itself_by_a_tenth_is_refused_nearly_always():
    assert share_refused(math.log(1.1), 10) > 0.9
    assert share_refused(-math.log(1.1), 10) > 0.9


def test_a_rig_on_which_equal_things_look_equal_holds_and_says_what_was_seen():
    check = check_rig(np.random.default_rng(1).normal(0, NOISE, 10))
    check.require()
    assert check.n == 10
    assert check.sd == pytest.approx(NOISE, rel=0.5)
    assert 0 < check.low < check.ratio < check.high < math.inf


def test_a_rig_on_which_equal_things_look_different_is_refused_with_the_figures():
    check = check_rig(np.random.default_rng(1).normal(0.2, NOISE, 10))
    with pytest.raises(MeasurementError, match=r"The baseline differs from itself .*: 1\.232 times \[1\.204, 1\.262\]"):
        check.require()


def test_a_rig_check_of_few_pairs_or_of_none_is_refused():
    with pytest.raises(MeasurementError, match="at least 5"):
        check_rig([0.1] * 4)
    with pytest.raises(MeasurementError, match="not finite"):
        check_rig([0.1] * 5 + [math.inf])
