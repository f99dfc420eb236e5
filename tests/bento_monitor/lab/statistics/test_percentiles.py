from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from bento_monitor.errors import MeasurementError
from bento_monitor.lab.statistics import bound_percentile, min_samples

RUNS = 2000


@pytest.mark.parametrize(("percentile", "samples"), [(50, 11), (75, 24), (90, 64), (95, 130), (99, 662), (99.9, 6636)])
def test_percentile_needs_as_many_samples_as_in_mlperf(percentile, samples):
    assert min_samples(percentile) == samples


def test_error_for_p99_of_100_samples_says_how_many_it_needs():
    with pytest.raises(MeasurementError, match="p99 of 100 samples has no bound: it needs 662"):
        bound_percentile(range(100), 99)


def test_bound_of_p99_of_10_000_samples_is_the_77th_largest():
    bounds = bound_percentile(np.random.default_rng(1).permutation(10_000), 99)
    assert bounds.high == 10_000 - 77
    assert bounds.value == 9_899  # the nearest rank: the 9,900th smallest
    assert bounds.low is not None
    assert bounds.low < bounds.value < bounds.high


@pytest.mark.parametrize(("n", "percentile"), [(64, 90), (700, 99), (1000, 95), (30, 50)])
def test_bounds_are_the_order_statistics_of_the_binomial_rule(n, percentile):
    bounds = bound_percentile(range(n), percentile)
    above = n - int(bounds.high)
    assert stats.binom.cdf(above, n, 1 - percentile / 100) <= 0.01
    assert stats.binom.cdf(above + 1, n, 1 - percentile / 100) > 0.01
    below = -1 if bounds.low is None else int(bounds.low)
    assert stats.binom.cdf(below, n, percentile / 100) <= 0.01
    assert stats.binom.cdf(below + 1, n, percentile / 100) > 0.01


def test_each_bound_holds_in_99_percent_of_runs_for_any_distribution():
    generator = np.random.default_rng(7)
    truth = stats.lognorm.ppf(0.95, s=1.5)
    bounds = [bound_percentile(generator.lognormal(0, 1.5, 400), 95) for _ in range(RUNS)]
    slack = 4 * math.sqrt(0.01 * 0.99 / RUNS)
    assert sum(each.high < truth for each in bounds) / RUNS <= 0.01 + slack
    assert sum(each.low > truth for each in bounds) / RUNS <= 0.01 + slack
    # The bound is as narrow as whole samples allow, so it is wrong in some runs.
    assert any(each.high < truth for each in bounds)


@pytest.mark.parametrize(
    ("samples", "percentile"), [([1.0] * 700 + [math.nan], 99), ([[1.0] * 700], 99), ([1.0] * 700, 100), ([1.0], 0)]
)
def test_invalid_percentiles_are_refused(samples, percentile):
    with pytest.raises(MeasurementError):
        bound_percentile(samples, percentile)
