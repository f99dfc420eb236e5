"""The baseline against itself: equal arms pass as equal, and unequal ones never prove anything.

Seen before: at 5 to 8 blocks the interval of the rig check was infinite and was printed as the smallest speed-up, and
at 10 it needed a t of 9.4 to fail, which is not a test at 1 % but at 6 in a million.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

import numpy as np
import pytest

from bento_monitor.errors import MeasurementError
from optimizers.stages.block_log import BlockLog
from optimizers.stages.blocks import AGAIN, BASELINE, WINNER, Block, Proof, judge, parse_block

NOISE = 0.04  # of the logarithm of a block's rate, as on a shared machine
RUNS = 2000


def proofs(
    blocks: int, again: float = 1.0, speedup: float = 2.0, runs: int = RUNS
) -> Iterator[Proof | MeasurementError]:
    generator = np.random.default_rng(2)
    ratios = np.array([1.0, again, speedup])
    for rates in 100 * ratios * np.exp(generator.normal(0, NOISE / math.sqrt(2), (runs, blocks, 3))):
        try:
            yield judge([Block(dict(zip((BASELINE, AGAIN, WINNER), row.tolist(), strict=True)), None) for row in rates])
        except MeasurementError as error:
            yield error


def refused_share(blocks: int, again: float) -> float:
    return sum(isinstance(found, MeasurementError) for found in proofs(blocks, again)) / RUNS


@pytest.mark.parametrize("blocks", [5, 8, 10])
def test_equal_arms_are_refused_at_most_once_in_a_hundred(blocks: int) -> None:
    assert refused_share(blocks, 1.0) <= 0.01


def test_baseline_a_tenth_faster_than_itself_is_nearly_always_refused() -> None:
    assert refused_share(10, 1.1) > 0.9
    assert refused_share(10, 1 / 1.1) > 0.9


@pytest.mark.parametrize("blocks", [5, 8, 10])
def test_figures_are_finite_and_the_smallest_speed_up_is_detectable(blocks: int) -> None:
    for found in proofs(blocks, runs=50):
        assert isinstance(found, Proof)
        assert found.speedup.low > 1
        assert found.against_itself.high < found.smallest_ratio < 1.6
        json.dumps([found.smallest_ratio, *found.speedup.ci95, *found.against_itself.ci95], allow_nan=False)


def test_smallest_speed_up_is_proved_nine_times_in_ten() -> None:
    usual = [found.smallest_ratio for found in proofs(10) if isinstance(found, Proof)]
    speedup = float(np.median(usual))
    shown = [
        found.speedup.low > max(1.0, found.against_itself.high)
        for found in proofs(10, speedup=speedup)
        if isinstance(found, Proof)
    ]
    assert 0.8 < sum(shown) / len(shown) < 0.98


def test_disturbed_run_is_invalid_and_the_next_resumes_from_its_good_blocks(tmp_path) -> None:
    rates = {BASELINE: 100.0, AGAIN: 101.0, WINNER: 200.0}
    log = BlockLog(tmp_path / "blocks.json", parse_block)
    while not log.is_enough(10, 30):
        log.add(Block(rates, "stolen" if len(log.blocks) % 3 == 0 else None))
    with pytest.raises(MeasurementError, match="10 of 30 blocks"):
        log.require_valid("of the proof")
    again = BlockLog(tmp_path / "blocks.json", parse_block)
    measured = 0
    while not again.is_enough(10, 30):
        again.add(Block(rates, None))
        measured += 1
    assert measured == 5
    again.require_valid("of the proof")
    assert judge(again.good).speedup.n == 25
