from __future__ import annotations

import math

import numpy as np
import pytest

from bento_monitor.errors import MeasurementError
from bento_monitor.lab.statistics import Comparison, compare_paired, interleave

SIMULATIONS = 2000


def test_ratio_is_the_geometric_mean_with_students_t_interval():
    comparison = compare_paired([2.0, 4.0, 8.0], [1.0, 1.0, 1.0])
    half = 4.302652729911275 * math.log(2) / math.sqrt(3)  # t of 0.975 with 2 degrees of freedom
    assert comparison.ratio == pytest.approx(4)
    assert comparison.ci95 == pytest.approx((4 * math.exp(-half), 4 * math.exp(half)))
    assert (comparison.n, comparison.sd) == (3, pytest.approx(math.log(2)))


def test_swapping_the_arms_inverts_ratio_and_interval():
    left, right = [3.0, 3.1, 2.9, 3.3], [1.0, 1.2, 0.9, 1.0]
    forward, backward = compare_paired(left, right), compare_paired(right, left)
    assert forward.ratio == pytest.approx(1 / backward.ratio)
    assert forward.ci95 == pytest.approx((1 / backward.high, 1 / backward.low))


def test_effects_common_to_a_pair_do_not_widen_the_interval():
    drift = [1.0, 0.5, 2.0, 0.7]
    comparison = compare_paired([3 * each for each in drift], drift)
    assert comparison.ci95 == pytest.approx((3, 3))


def test_interval_covers_the_true_ratio_in_95_percent_of_runs():
    generator = np.random.default_rng(11)
    covered = 0
    for _ in range(SIMULATIONS):
        machine = generator.lognormal(0, 0.3, 10)
        baseline = machine * generator.lognormal(0, 0.05, 10)
        low, high = compare_paired(3 * machine * generator.lognormal(0, 0.05, 10), baseline).ci95
        covered += low <= 3 <= high
    assert covered / SIMULATIONS == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / SIMULATIONS))


@pytest.mark.parametrize(
    ("candidate", "baseline"),
    [
        ([1.0, 2.0], [1.0, 2.0]),
        ([1.0, 2.0, 3.0], [1.0, 2.0]),
        ([1.0, 2.0, 0.0], [1.0, 2.0, 3.0]),
        ([1.0, 2.0, 3.0], [1.0, -2.0, 3.0]),
        ([1.0, 2.0, math.nan], [1.0, 2.0, 3.0]),
        ([1.0, 2.0, math.inf], [1.0, 2.0, 3.0]),
    ],
)
def test_blocks_that_cannot_be_compared_are_refused(candidate, baseline):
    with pytest.raises(MeasurementError):
        compare_paired(candidate, baseline)


def test_log_ratios_that_are_not_finite_are_refused():
    with pytest.raises(MeasurementError):
        Comparison.from_log_ratios([0.1, math.nan, 0.2])


def test_every_block_has_every_arm_once_in_a_seeded_order():
    blocks = interleave(["baseline", "a", "b"], 20, seed=4)
    assert all(sorted(block) == ["a", "b", "baseline"] for block in blocks)
    assert len({tuple(block) for block in blocks}) > 3
    assert blocks == interleave(["baseline", "a", "b"], 20, seed=4) != interleave(["baseline", "a", "b"], 20, seed=5)


@pytest.mark.parametrize(("arms", "blocks"), [([], 3), (["a", "a"], 3), (["a"], 0)])
def test_arms_that_cannot_be_interleaved_are_refused(arms, blocks):
    with pytest.raises(MeasurementError):
        interleave(arms, blocks, seed=0)
