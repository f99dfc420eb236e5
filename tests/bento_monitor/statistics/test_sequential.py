from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.signal import lfilter

from bento_monitor.errors import MeasurementError
from bento_monitor.statistics import Verdict, anytime_intervals, compare_so_far, smallest_ratio
from bento_monitor.statistics.sequential import half_widths

RUNS, PAIRS, NOISE = 2000, 200, 0.03
SLACK = 4 * math.sqrt(0.05 * 0.95 / RUNS)


def noise(kind: str, seed: int = 3):
    generator = np.random.default_rng(seed)
    if kind == "normal":
        return generator.normal(0, NOISE, (RUNS, PAIRS))
    if kind == "heavy tails":
        return NOISE * generator.standard_t(3, (RUNS, PAIRS))
    # A machine that becomes slower and faster over many pairs, with the halves of each pair in random order.
    trend = lfilter([0.3 * NOISE], [1, -0.95], generator.normal(0, 1, (RUNS, PAIRS)))
    order = generator.choice([-1, 1], (RUNS, PAIRS)) if kind == "trend" else 1
    return trend * order + generator.normal(0, NOISE, (RUNS, PAIRS))


@pytest.mark.parametrize("kind", ["normal", "heavy tails", "trend"])
def test_equal_arms_differ_in_at_most_5_percent_of_sequential_runs(kind):
    low, high = anytime_intervals(noise(kind))
    assert ((low > 0) | (high < 0)).any(axis=1).mean() <= 0.05 + SLACK


def test_trend_looks_like_a_difference_if_the_order_is_fixed():
    low, high = anytime_intervals(noise("trend, fixed order"))
    assert ((low > 0) | (high < 0)).any(axis=1).mean() > 0.1


def test_fixed_sample_interval_fails_if_checked_after_every_pair():
    values = noise("normal")
    n = np.arange(1, PAIRS + 1)
    means = np.cumsum(values, axis=1) / n
    halves = 2 * NOISE / np.sqrt(n)
    assert (abs(means) > halves)[:, 5:].any(axis=1).mean() > 0.2


def test_interval_covers_the_true_ratio_when_stopped_at_the_first_verdict():
    effect = math.log(1.05)
    values = noise("normal") + effect
    low, high = anytime_intervals(values)
    stops = np.where((low > 0).any(axis=1), (low > 0).argmax(axis=1), PAIRS - 1)
    rows = np.arange(RUNS)
    assert ((low[rows, stops] <= effect) & (effect <= high[rows, stops])).mean() >= 0.95 - SLACK
    assert (low > 0).any(axis=1).mean() > 0.99


def test_width_solves_the_likelihood_ratio_of_the_t_test():
    for pairs in (8, 60, 200):
        t = half_widths(np.array([pairs]))[0] * math.sqrt(pairs)
        r, x = 1 + pairs * 0.25, t**2 / (pairs - 1)
        assert r**-0.5 * ((1 + x) / (1 + x / r)) ** (pairs / 2) == pytest.approx(1 / 0.05)


def test_single_comparison_equals_the_vectorized_one():
    values = noise("normal")[0] + 0.02
    found = compare_so_far(values[:60].tolist())
    low, high = anytime_intervals(values)
    assert (math.log(found.low), math.log(found.high)) == pytest.approx((low[59], high[59]))
    assert math.log(found.ratio) == pytest.approx(values[:60].mean())
    assert found.n == 60


@pytest.mark.parametrize(
    ("center", "verdict"),
    [
        (math.log(1.2), Verdict.FASTER),
        (-math.log(1.2), Verdict.SLOWER),
        (0.001, Verdict.EQUIVALENT),
        (math.log(1.03), Verdict.FASTER),
    ],
)
def test_verdict_says_on_which_side_of_the_zone_the_interval_is(center, verdict):
    found = compare_so_far((center + np.array([-0.01, 0.01] * 20)).tolist())
    assert found.verdict is verdict


def test_undecided_comparison_cannot_tell():
    assert compare_so_far([-0.2, 0.2] * 5).verdict is Verdict.CANNOT_TELL
    assert compare_so_far([0.5] * 4).verdict is Verdict.CANNOT_TELL
    nothing = compare_so_far([])
    assert (nothing.verdict, nothing.low, nothing.high, nothing.n) == (Verdict.CANNOT_TELL, 0.0, math.inf, 0)


def test_swapping_the_arms_inverts_the_comparison():
    forward, backward = compare_so_far([0.1, 0.12, 0.09] * 5), compare_so_far([-0.1, -0.12, -0.09] * 5)
    assert (forward.ratio, forward.low, forward.high) == pytest.approx(
        (1 / backward.ratio, 1 / backward.high, 1 / backward.low)
    )


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_non_finite_ratio_is_refused(bad):
    with pytest.raises(MeasurementError):
        compare_so_far([0.1, bad])


def test_invalid_zone_is_refused():
    with pytest.raises(MeasurementError, match="zone"):
        compare_so_far([0.1] * 6, zone_ratio=1.0)


def test_smallest_ratio_of_a_rig_is_found_nine_times_in_ten():
    ratio = smallest_ratio(NOISE, 60)
    low, _ = anytime_intervals(noise("normal")[:, :60] + math.log(ratio))
    assert (low > 0).any(axis=1).mean() == pytest.approx(0.9, abs=0.05)


def test_too_few_pairs_have_no_smallest_ratio():
    with pytest.raises(MeasurementError, match="measure more"):
        smallest_ratio(NOISE, 5)
