from __future__ import annotations

import pytest

from bento_monitor.errors import MeasurementError
from optimizers.stages.blocks import AGAIN, BASELINE, WINNER, Block, BlockLog, judge

NOISE = (0.99, 1.01, 1.0, 0.985, 1.015, 1.005, 0.995, 1.0, 1.01, 0.99)


def block(speedup=2.0, *, again=1.0, noise=1.0, fault=None):
    return Block({BASELINE: 100.0, AGAIN: 100.0 * again * noise, WINNER: 100.0 * speedup * noise}, fault)


def test_a_winner_is_compared_with_the_baseline_and_the_baseline_with_itself():
    proof = judge([block(noise=noise) for noise in NOISE])
    assert proof.speedup.ratio == pytest.approx(2.0, rel=0.01)
    assert proof.against_itself.ci95[0] < 1 < proof.against_itself.ci95[1]
    assert 1 < proof.smallest_ratio < 1.05
    assert proof.thrown == ()
    assert proof.speedup_of_all == proof.speedup


def test_a_block_that_is_thrown_away_does_not_count_and_is_shown():
    blocks = [block(noise=noise) for noise in NOISE]
    proof = judge([*blocks, block(20.0, fault="2.0% of the processors' time was stolen by the host")])
    assert proof.speedup == judge(blocks).speedup
    assert proof.rates[WINNER] == [each.rates[WINNER] for each in blocks]
    assert proof.thrown == ("2.0% of the processors' time was stolen by the host",)
    assert proof.speedup_of_all.ratio > proof.speedup.ratio


def test_a_machine_that_was_too_often_in_the_way_proves_nothing():
    blocks = [block(noise=noise) for noise in NOISE] + [block(fault="the host stole")] * 2
    with pytest.raises(MeasurementError, match="2 of 12 pairs were thrown away"):
        judge(blocks)


def test_a_baseline_that_differs_from_itself_proves_nothing():
    with pytest.raises(MeasurementError, match="the baseline against itself gives a ratio of 1.2"):
        judge([block(again=1.2, noise=noise) for noise in NOISE])


def test_blocks_are_kept_on_disk_until_they_are_forgotten(tmp_path):
    file = tmp_path / "blocks.json"
    log = BlockLog(file)
    assert not log.is_enough(2)
    log.add(block())
    log.add(block(fault="the host stole"))
    again = BlockLog(file)
    assert again.blocks == log.blocks
    again.clear()
    assert (again.blocks, file.exists()) == ([], False)


def test_blocks_are_enough_when_as_many_count_and_a_tenth_at_most_was_thrown_away(tmp_path):
    log = BlockLog(tmp_path / "blocks.json")
    log.add(block(fault="the host stole"))
    for count in range(1, 10):
        log.add(block())
        assert log.is_enough(5) == (count == 9)


def test_a_machine_that_is_always_in_the_way_is_given_up(tmp_path):
    log = BlockLog(tmp_path / "blocks.json")
    for count in range(1, 16):
        log.add(block(fault="the host stole"))
        assert log.is_enough(5) == (count == 15)
