from __future__ import annotations

import pytest

from bento_monitor.errors import MeasurementError
from bento_monitor.lab.statistics import RigError
from optimizers.stages.blocks import AGAIN, BASELINE, WINNER, Block, InTime, baseline_rate_rps, judge, require_alike

NOISE = (0.99, 1.01, 1.0, 0.985, 1.015, 1.005, 0.995, 1.0, 1.01, 0.99)


def block(speedup=2.0, *, again=1.0, noise=1.0, fault=None, in_time=None):
    return Block({BASELINE: 100.0, AGAIN: 100.0 * again * noise, WINNER: 100.0 * speedup * noise}, fault, in_time)


def test_winner_and_second_baseline_arm_are_compared_with_the_baseline():
    proof = judge([block(noise=noise) for noise in NOISE])
    assert proof.speedup.ratio == pytest.approx(2.0, rel=0.01)
    assert proof.against_itself.ci95[0] < 1 < proof.against_itself.ci95[1]
    assert proof.against_itself.high < proof.smallest_ratio < 1.05
    assert proof.thrown == ()
    assert proof.speedup_of_all == proof.speedup
    assert (proof.in_time_ratio, proof.slo_percentile_ms) == (None, None)


def test_five_blocks_give_a_smallest_ratio():
    assert 1 < judge([block(noise=noise) for noise in NOISE[:5]]).smallest_ratio < 1.1


def test_thrown_away_block_does_not_count_and_is_reported():
    blocks = [block(noise=noise) for noise in NOISE]
    proof = judge(blocks, [block(20.0, fault="2.0% of the processors' time was stolen by the host")])
    assert proof.speedup == judge(blocks).speedup
    assert proof.rates[WINNER] == [each.rates[WINNER] for each in blocks]
    assert proof.thrown == ("2.0% of the processors' time was stolen by the host",)
    assert proof.speedup_of_all.ratio > proof.speedup.ratio


def test_baseline_that_differs_from_itself_is_refused():
    with pytest.raises(MeasurementError, match=r"The baseline differs from itself .* 1\.2"):
        judge([block(again=1.2, noise=noise) for noise in NOISE])


def test_requests_in_time_are_counted_over_all_blocks():
    counts = ((90, 100, 40.0), (100, 100, 30.0), (300, 300, 20.0))
    blocks = [block(noise=noise) for noise in NOISE] + [block(in_time=InTime(*each)) for each in counts]
    proof = judge(blocks)
    assert proof.in_time_ratio == pytest.approx(490 / 500)
    assert proof.slo_percentile_ms == 30.0


def test_baseline_rate_is_the_mean_of_its_blocks():
    assert baseline_rate_rps([Block({BASELINE: 90.0}, None), Block({BASELINE: 110.0}, None)]) == 100.0
    with pytest.raises(MeasurementError, match="no closed block"):
        baseline_rate_rps([])


def test_baselines_that_differ_are_refused_before_the_judgement():
    require_alike([block(noise=noise) for noise in NOISE])
    with pytest.raises(RigError):
        require_alike([block(again=1.2, noise=noise) for noise in NOISE])
