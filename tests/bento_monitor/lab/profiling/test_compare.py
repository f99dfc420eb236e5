from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from profiles import profile

from bento_monitor.lab.profiling.compare import compare_profiles
from bento_monitor.lab.profiling.profile_record import Percentile


def rates(mean: float, seed: int = 1):
    return tuple(np.random.default_rng(seed).normal(mean, mean * 0.05, 16).tolist())


def latency(value_ms: float, spread: float | None = 0.1):
    if spread is None:
        return (Percentile(50.0, value_ms, None, None, 11),)
    return (Percentile(50.0, value_ms, value_ms * (1 - spread), value_ms * (1 + spread), 11),)


def change_of(figure: str, before, after):
    return next(each for each in compare_profiles(before, after) if each.figure == figure)


def test_faster_service_is_reported_with_an_interval():
    change = change_of(
        "requests/s",
        profile(throughput_rps=1000, rates_rps=rates(1000)),
        profile(throughput_rps=1500, rates_rps=rates(1500, 2)),
    )
    assert change.ratio == pytest.approx(1.5)
    assert 1.4 < change.low < 1.5 < change.high < 1.6
    assert change.is_sure


def test_difference_within_the_noise_is_not_significant():
    change = change_of(
        "requests/s",
        profile(throughput_rps=1000, rates_rps=rates(1000)),
        profile(throughput_rps=1005, rates_rps=rates(1005, 2)),
    )
    assert change.low < 1 < change.high
    assert not change.is_sure


def test_percentiles_differ_if_their_bounds_do_not_overlap():
    slower = change_of("p50 ms", profile(latencies=latency(10)), profile(latencies=latency(20)))
    assert (slower.ratio, slower.is_sure) == (2.0, True)
    assert (slower.low, slower.high) == pytest.approx((18 / 11, 22 / 9))
    near = change_of("p50 ms", profile(latencies=latency(10)), profile(latencies=latency(11)))
    assert not near.is_sure
    few = change_of("p50 ms", profile(latencies=latency(10)), profile(latencies=latency(20, None)))
    assert (few.low, few.high, few.is_sure) == (None, None, False)


def test_open_loads_are_matched_by_share_and_have_no_rate_change():
    before = profile(mode="open", offered_rps=500.0, share=0.5)
    after = profile(mode="open", offered_rps=900.0, share=0.5)
    found = compare_profiles(before, after)
    assert {change.load for change in found} == {"50% of capacity"}
    assert "requests/s" not in {change.figure for change in found}


def test_loads_in_only_one_profile_are_left_out():
    assert compare_profiles(profile(connections=8), profile(connections=16)) == []
    assert compare_profiles(profile(share=0.5, offered_rps=1.0), profile(share=0.9, offered_rps=1.0)) == []


def test_cpu_time_per_request_is_compared_if_both_profiles_have_it():
    before, after = profile(), profile()
    halved = replace(
        after,
        points=tuple(replace(each, server=replace(each.server, cpu_us_per_request=450)) for each in after.points),
    )
    assert change_of("CPU us/request", before, halved).ratio == 0.5
    assert "CPU us/request" not in {change.figure for change in compare_profiles(before, profile(server=None))}
