from __future__ import annotations

import pytest

from bento_monitor.errors import MeasurementError
from optimizers.stages.block_log import BlockLog
from optimizers.stages.blocks import AGAIN, BASELINE, WINNER, Block, InTime, parse_block


def block(speedup=2.0, *, fault=None, in_time=None):
    return Block({BASELINE: 100.0, AGAIN: 100.0, WINNER: 100.0 * speedup}, fault, in_time)


@pytest.fixture
def log(tmp_path):
    return BlockLog(tmp_path / "blocks.json", parse_block)


def again(tmp_path):
    return BlockLog(tmp_path / "blocks.json", parse_block)


def test_blocks_stay_on_disk_until_cleared(tmp_path, log):
    assert not log.is_enough(2, 6)
    log.add(block(in_time=InTime(9, 10, 50.0)))
    log.add(block(fault="the host stole"))
    read = again(tmp_path)
    assert (read.blocks, read.good, read.faults) == (log.blocks, log.blocks[:1], ["the host stole"])
    read.clear()
    assert again(tmp_path).blocks == []


def test_enough_blocks_need_at_most_a_tenth_thrown_away(log):
    log.add(block(fault="the host stole"))
    for count in range(1, 10):
        log.add(block())
        assert log.is_enough(5, 15) == (count == 9)


def test_run_stops_on_a_constantly_disturbed_machine(log):
    for count in range(1, 16):
        log.add(block(fault="the host stole"))
        assert log.is_enough(5, 15) == (count == 15)


def test_invalid_run_is_refused_and_its_good_blocks_are_kept(tmp_path, log):
    for _ in range(4):
        log.add(block())
    log.add(block(fault="the host stole"))
    with pytest.raises(MeasurementError, match="1 of 5 blocks of the proof .* because the host stole.* 4 good ones"):
        log.require_valid("of the proof")
    read = again(tmp_path)
    assert (len(read.earlier), read.blocks, len(read.good)) == (4, [], 4)
    read.require_valid("of the proof")


def test_continued_run_measures_half_of_the_wanted_blocks_itself(log):
    for _ in range(20):
        log.add(block())
    for _ in range(10):
        log.add(block(fault="the host stole"))
    with pytest.raises(MeasurementError, match="10 of 30"):
        log.require_valid("of the proof")
    for count in range(1, 6):
        log.add(block())
        assert log.is_enough(10, 30) == (count == 5)


def test_non_finite_rate_is_never_written(tmp_path, log):
    with pytest.raises(ValueError, match="JSON"):
        log.add(block(float("inf")))
    assert again(tmp_path).blocks == []
