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
def test_equal_arms_are_refused_in_at_most_1_percent(pairs):
    assert share_refused(0.0, pairs) <= 0.01


@pytest.mark.parametrize("pairs", [5, 8, 10, 30])
def test_arms_that_differ_by_the_zone_are_refused_in_1_percent(pairs):
    assert share_refused(math.log(1.03), pairs) == pytest.approx(0.01, abs=0.005)


def test_baseline_that_differs_from_itself_by_a_tenth_is_nearly_always_refused():
    assert share_refused(math.log(1.1), 10) > 0.9
    assert share_refused(-math.log(1.1), 10) > 0.9


def test_rig_with_equal_arms_passes_and_reports_its_figures():
    check = check_rig(np.random.default_rng(1).normal(0, NOISE, 10))
    check.require()
    assert check.n == 10
    assert check.sd == pytest.approx(NOISE, rel=0.5)
    assert 0 < check.low < check.ratio < check.high < math.inf


def test_rig_with_different_looking_equal_arms_is_refused_with_the_figures():
    check = check_rig(np.random.default_rng(1).normal(0.2, NOISE, 10))
    with pytest.raises(MeasurementError, match=r"The baseline differs from itself .*: 1\.232 times \[1\.204, 1\.262\]"):
        check.require()


def test_rig_check_of_too_few_pairs_is_refused():
    with pytest.raises(MeasurementError, match="at least 5"):
        check_rig([0.1] * 4)
    with pytest.raises(MeasurementError, match="not finite"):
        check_rig([0.1] * 5 + [math.inf])
