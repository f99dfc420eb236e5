"""The references for the load generator: the recursion, against its closed forms, and the resampling."""

from __future__ import annotations

import numpy as np
import pytest
from loads import MS, load
from measuring.oracles import closed_form_quantile, sojourns
from measuring.resample import BIN_S, autocorrelation, behaviour_of, draw, pair_log_ratios

from bento_monitor.lab.loadgen import summarize

REQUESTS = 10_000_000


def test_recursion_serves_requests_one_after_another():
    arrivals, services = np.array([0.0, 1.0, 2.0, 20.0]), np.array([5.0, 1.0, 1.0, 3.0])
    assert sojourns(arrivals, services).tolist() == [5.0, 5.0, 5.0, 3.0]


@pytest.mark.parametrize("quantile", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("queue", ["mm1", "md1"])
def test_recursion_over_10_million_requests_agrees_with_the_closed_form(queue, quantile):
    generator = np.random.default_rng(12)
    arrivals = np.cumsum(generator.exponential(1 / 0.7, REQUESTS))
    services = generator.exponential(1, REQUESTS) if queue == "mm1" else np.ones(REQUESTS)
    found = np.quantile(sojourns(arrivals, services), quantile)
    assert found == pytest.approx(closed_form_quantile(queue, 0.7, quantile), rel=0.01)


def test_summary_counts_from_the_planned_time():
    # 1,000 requests a second for 1 s; the server stops for half of it and answers the waiting ones when it resumes.
    result = load(latency_ms=2.0)
    stalled = (result.planned_ns >= 200 * MS) & (result.planned_ns < 700 * MS)
    result.done_ns[stalled] = 700 * MS
    summary = summarize(result)
    assert summary.requests == summary.ok == 1000
    assert summary.p50_ms == 2.0
    assert summary.p95_ms == 450.0  # 500 are evenly late by 1 to 500 ms, so 50 of 1,000 by more than 450
    assert summary.p99_ms == 490.0
    assert summary.slowest_ms == 500.0


def white_noise(sd: float):
    return 1000 * np.exp(np.random.default_rng(4).normal(0, sd, 4800))


def test_interleaving_helps_on_a_drift_but_not_on_white_noise():
    white = behaviour_of(white_noise(0.05), 500, 1.03, 1)
    assert white.spread_interleaved / white.spread_back_to_back == pytest.approx(1, abs=0.15)
    drift = 1000 * np.exp(np.cumsum(np.random.default_rng(5).normal(0, 0.01, 4800)))
    drifting = behaviour_of(drift, 500, 1.03, 1)
    assert drifting.spread_interleaved / drifting.spread_back_to_back < 0.2


def test_statistics_keep_their_error_rates_on_white_noise():
    found = behaviour_of(white_noise(0.05), 1000, 1.03, 1)
    assert found.false_alarm_rate <= 0.07
    assert found.coverage_fixed == pytest.approx(0.95, abs=0.03)
    assert found.coverage_stopped >= 0.93
    assert found.power > 0.9


def test_run_consists_of_whole_windows_of_the_recording():
    (run,) = draw(np.arange(1000.0), 1, 120, np.random.default_rng(1))
    first, second = np.split(run, 2)
    assert len(run) == 120 / BIN_S
    for window in (first, second):
        assert (np.diff(window) % 1000 == 1).all()


def test_pairs_are_adjacent_blocks_in_either_order():
    series = np.tile([1.0, 1.0, 2.0, 2.0], 50)[np.newaxis]
    found = pair_log_ratios(series, np.random.default_rng(1))
    assert found.shape == (1, 50)
    assert set(np.round(found[0], 6)) == {round(float(np.log(2)), 6), -round(float(np.log(2)), 6)}


def test_autocorrelation_is_that_of_the_log_rate():
    wave = np.exp(np.sin(np.arange(4800) * BIN_S * np.pi))  # a period of 2 s
    assert autocorrelation(wave, 2.0) == pytest.approx(1, abs=1e-3)
    assert autocorrelation(wave, 1.0) == pytest.approx(-1, abs=1e-3)
