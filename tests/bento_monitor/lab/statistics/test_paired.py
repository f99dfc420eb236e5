from __future__ import annotations

import math

import numpy as np
import pytest

from bento_monitor.errors import MeasurementError
from bento_monitor.lab.statistics import Comparison, compare_paired, smallest_paired_ratio

NOISE = 0.05
RUNS = 4000


@pytest.mark.parametrize("pairs", [5, 10, 30])
def test_interval_shows_the_smallest_ratio_nine_times_in_ten(pairs):
    shift = math.log(smallest_paired_ratio(NOISE, pairs))
    runs = np.random.default_rng(5).normal(shift, NOISE, (RUNS, pairs))
    shown = sum(Comparison.from_log_ratios(run).low > 1 for run in runs)
    assert shown / RUNS == pytest.approx(0.9, abs=0.015)


def test_smallest_ratio_of_two_pairs_is_refused():
    with pytest.raises(MeasurementError, match="at least 3"):
        smallest_paired_ratio(NOISE, 2)


def test_higher_confidence_widens_the_interval_around_the_same_ratio():
    candidate, baseline = [2.0, 2.2, 1.9, 2.1], [1.0, 1.0, 1.0, 1.1]
    usual, wider = compare_paired(candidate, baseline), compare_paired(candidate, baseline, confidence=0.99)
    assert wider.ratio == usual.ratio
    assert wider.low < usual.low < usual.ratio < usual.high < wider.high
