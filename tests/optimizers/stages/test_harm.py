from __future__ import annotations

import numpy as np
import pytest

from bento_monitor.errors import MeasurementError
from optimizers.stages.blocks import BASELINE, WINNER
from optimizers.stages.harm import (
    HarmBlock,
    alone_seconds,
    judge_harm,
    next_look,
    open_percentile,
    open_seconds,
    read_harm_log,
)

GENERATOR = np.random.default_rng(11)


def latencies(mean_ms, count):
    return (GENERATOR.gamma(20.0, mean_ms / 20, count) * 1000).astype(int).tolist()


def block(alone=1.0, half_load=1.0, *, count=200, failed=0, fault=None, percentile=99):
    return HarmBlock(
        {BASELINE: latencies(5.0, 100), WINNER: latencies(5.0 * alone, 100)},
        {BASELINE: latencies(20.0, count), WINNER: latencies(20.0 * half_load, count)},
        50.0,
        {BASELINE: 0, WINNER: failed},
        fault,
        percentile,
    )


def log_of(tmp_path, blocks):
    log = read_harm_log(tmp_path / "harm.json")
    for each in blocks:
        log.add(each)
    return log


def test_equally_good_winner_is_shown_harmless_at_the_first_look(tmp_path):
    log = log_of(tmp_path, [block() for _ in range(9)])
    assert next_look(log, 10) == 10
    log.add(block())
    assert next_look(log, 10) is None
    figures = judge_harm(log, 10)
    assert figures.is_harmless
    assert figures.blocks == 10
    assert figures.alone.ratio == pytest.approx(1.0, abs=0.05)
    assert figures.alone_p50_ms[BASELINE] == pytest.approx(5.0, rel=0.1)
    assert len(figures.alone_p50_ms_blocks[WINNER]) == len(figures.half_load_ms_blocks[WINNER]) == 10
    assert figures.requests == {BASELINE: 3000, WINNER: 3000}


def test_clear_case_takes_five_blocks(tmp_path):
    log = log_of(tmp_path, [block(alone=0.1, half_load=0.1) for _ in range(4)])
    assert next_look(log, 10) == 5
    log.add(block(alone=0.1, half_load=0.1))
    assert next_look(log, 10) is None
    assert judge_harm(log, 10).is_harmless


@pytest.mark.parametrize("harm", [{"alone": 1.6}, {"half_load": 2.0}])
def test_harmful_winner_is_detected_at_the_first_look(tmp_path, harm):
    log = log_of(tmp_path, [block(**harm) for _ in range(10)])
    assert next_look(log, 10) is None
    assert judge_harm(log, 10).is_harmful
    assert not judge_harm(log, 10).is_harmless


def test_undecided_harm_gets_at_most_three_times_the_blocks(tmp_path):
    log = log_of(tmp_path, [block(alone=1.1) for _ in range(5)])
    assert next_look(log, 5) == 10
    for _ in range(5):
        log.add(block(alone=1.1))
    assert next_look(log, 5) == 15
    for _ in range(5):
        log.add(block(alone=1.1))
    assert next_look(log, 5) is None
    figures = judge_harm(log, 5)
    assert (figures.blocks, figures.is_harmless, figures.is_harmful) == (15, False, False)


def test_figures_come_from_the_deciding_look(tmp_path):
    log = log_of(tmp_path, [block() for _ in range(5)] + [block(alone=3.0) for _ in range(4)])
    assert judge_harm(log, 5).blocks == 5


def test_small_blocks_are_pooled_for_a_p99_of_a_hundred_requests(tmp_path):
    figures = judge_harm(log_of(tmp_path, [block(count=30) for _ in range(30)]), 10)
    assert len(figures.half_load_ms_blocks[BASELINE]) * 4 <= figures.blocks
    assert len(figures.alone_p50_ms_blocks[BASELINE]) == figures.blocks


def test_too_few_requests_for_a_p99_are_refused(tmp_path):
    with pytest.raises(MeasurementError, match="75 answers in 15 blocks, too few .* --block-seconds"):
        judge_harm(log_of(tmp_path, [block(count=5) for _ in range(15)]), 5)


def test_arm_without_lone_client_answers_is_refused(tmp_path):
    silent = HarmBlock({BASELINE: [1], WINNER: []}, block().half_load_us, 50.0, {BASELINE: 0, WINNER: 3}, None)
    with pytest.raises(MeasurementError, match="winner answered no request of a lone client"):
        judge_harm(log_of(tmp_path, [silent] * 5), 5)


def test_disturbed_block_does_not_count(tmp_path):
    log = log_of(tmp_path, [block() for _ in range(10)] + [block(alone=9.0, fault="stolen")])
    assert judge_harm(log, 10).alone.ratio == pytest.approx(1.0, abs=0.05)
    for _ in range(10):
        log.add(block(fault="stolen"))
    with pytest.raises(MeasurementError, match="11 of 21 blocks of the lone client and the open load were thrown away"):
        judge_harm(log, 10)


def test_run_stops_on_a_constantly_disturbed_machine(tmp_path):
    log = log_of(tmp_path, [block(fault="stolen") for _ in range(14)])
    assert next_look(log, 5) == 5
    log.add(block(fault="stolen"))
    assert next_look(log, 5) is None


@pytest.mark.parametrize("wanted", [5, 10])
@pytest.mark.parametrize("alone", [1.10, 1.0])
def test_harm_at_the_limit_passes_at_most_once_in_twenty(tmp_path, alone, wanted):
    passed, runs = 0, 400
    for run in range(runs):
        noise = np.random.default_rng(run)
        blocks = [
            HarmBlock(
                {BASELINE: [5000], WINNER: [int(5000 * alone * noise.lognormal(0, 0.04))]},
                {BASELINE: [9000] * 100, WINNER: [9000] * 100},
                50.0,
                {BASELINE: 0, WINNER: 0},
                None,
            )
            for _ in range(3 * wanted)
        ]
        log = read_harm_log(tmp_path / "none.json")
        log.blocks = blocks
        passed += judge_harm(log, wanted).is_harmless
    assert passed / runs <= 0.05 if alone == 1.10 else passed / runs > 0.9


@pytest.mark.parametrize(("harm", "is_harmless"), [(1.0, True), (2.0, False)])
def test_slow_service_is_judged_by_a_p90(tmp_path, harm, is_harmless):
    figures = judge_harm(log_of(tmp_path, [block(half_load=harm, count=25, percentile=90) for _ in range(10)]), 10)
    assert figures.percentile == 90
    assert len(figures.half_load_ms_blocks[BASELINE]) == figures.blocks == 5
    assert figures.is_harmless == is_harmless
    assert figures.is_harmful != is_harmless


def test_service_that_answers_too_few_for_a_p99_gets_a_p90():
    assert open_percentile(5.0, 1.4, 10) == 90
    assert open_percentile(5.0, 1.6, 10) == 99
    assert open_seconds(5.0, 1.4, 90) == pytest.approx(20 / 1.4)


def test_open_block_lasts_two_hundred_requests_within_four_closed_blocks():
    assert open_seconds(5.0, 1000.0, 99) == 2.5
    assert open_seconds(5.0, 50.0, 99) == 4.0
    assert open_seconds(5.0, 1.0, 99) == 20.0
    assert [alone_seconds(5.0, rate_rps) for rate_rps in (50.0, 1.0, 0.5)] == [2.0, 3.0, 5.0]
