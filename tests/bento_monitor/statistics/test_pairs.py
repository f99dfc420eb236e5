from __future__ import annotations

import math

import pytest

from bento_monitor.errors import MeasurementError
from bento_monitor.statistics import Pair, collect_pairs


def test_pair_with_a_fault_is_left_out_but_its_ratio_is_recorded():
    run = collect_pairs([Pair(2.0, 1.0), Pair(9.0, 1.0, "stolen"), Pair(1.0, 2.0)])
    assert run.kept == pytest.approx((math.log(2), -math.log(2)))
    assert run.every == pytest.approx((math.log(2), math.log(9), -math.log(2)))
    assert run.faults == ("stolen",)


def test_run_with_over_a_tenth_thrown_away_is_refused():
    good = [Pair(1.0, 1.0)] * 18
    collect_pairs([*good, Pair(1.0, 1.0, "stolen")]).require()
    with pytest.raises(MeasurementError, match="3 of 21 pairs were thrown away, the last because late"):
        collect_pairs([*good, Pair(1.0, 1.0, "stolen"), Pair(1.0, 1.0, "late"), Pair(1.0, 1.0, "late")]).require()


def test_empty_run_has_thrown_nothing_away():
    run = collect_pairs([])
    run.require()
    assert run.thrown_ratio == 0


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_invalid_rate_is_refused(bad):
    with pytest.raises(MeasurementError, match="above 0"):
        collect_pairs([Pair(1.0, bad)])
