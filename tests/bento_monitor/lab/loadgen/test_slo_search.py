from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from loads import MS, load

from bento_monitor.errors import InputError, MeasurementError
from bento_monitor.lab.loadgen.slo import Slo, parse_slo
from bento_monitor.lab.loadgen.slo_search import find_highest_rate, judge_rate, lowest_rate_rps

P95 = Slo(percentile=95, limit_ms=50)


def queue(rate_rps: float):
    """Simulate a server with a capacity of 1,000 requests/s: its latency grows without bound towards that rate."""
    latency_ms = 5 / max(1 - rate_rps / 1000, 1e-3) * np.random.default_rng(1).exponential(1, 1000)
    result = load()
    return replace(result, done_ns=result.planned_ns + (latency_ms * MS).astype(np.int64))


def test_highest_rate_that_meets_the_slo_is_found_by_bisection():
    found = find_highest_rate(P95, queue, low_rps=10, high_rps=1000)
    # p95 of an exponential is 3 means: 15 ms / (1 - x) is 50 ms at x = 0.7, and its bound somewhat more.
    assert found.rate_rps == pytest.approx(670, rel=0.08)
    assert len(found.trials) < 10
    kept = [trial.rate_rps for trial in found.trials if trial.is_kept]
    broken = [trial.rate_rps for trial in found.trials if not trial.is_kept]
    assert max(kept) == found.rate_rps
    assert 1 < min(broken) / max(kept) <= 1.05


def test_slo_not_met_at_the_lowest_rate_has_no_rate():
    found = find_highest_rate(Slo(95, 1.0), queue, low_rps=10, high_rps=1000)
    assert found.rate_rps is None
    assert len(found.trials) == 1


def test_slo_is_not_met_if_only_the_bound_is_over_the_limit():
    latency_ms = np.concatenate([np.full(955, 10.0), np.full(45, 100.0)])
    result = load()
    trial = judge_rate(P95, 100, replace(result, done_ns=result.planned_ns + (latency_ms * MS).astype(np.int64)))
    assert (trial.value_ms, trial.high_ms, trial.is_kept) == (10.0, 100.0, False)


def test_failed_requests_are_slower_than_any_limit():
    status = np.full(1000, 200)
    status[:100] = 503
    trial = judge_rate(P95, 100, replace(load(latency_ms=0.1), status=status))
    assert (trial.failed, trial.value_ms, trial.is_kept) == (100, None, False)
    few = judge_rate(P95, 100, replace(load(latency_ms=0.1), status=np.where(np.arange(1000) < 20, 0, 200)))
    assert (few.failed, few.is_kept) == (20, True)


def test_load_is_as_long_as_its_bound_needs():
    assert P95.least_seconds(rate_rps=10) == pytest.approx(130 * 1.2 / 10)
    with pytest.raises(MeasurementError, match="needs 6636"):
        judge_rate(Slo(99.9, 50), 10, load())


@pytest.mark.parametrize(
    ("text", "slo"),
    [("p99=50ms", Slo(99, 50)), (" p95 = 1.5 s ", Slo(95, 1500)), ("p99.9=20ms", Slo(99.9, 20))],
)
def test_slo_text_is_parsed_and_written_back(text, slo):
    assert parse_slo(text) == slo
    assert parse_slo(str(slo)) == slo


@pytest.mark.parametrize("text", ["fast", "p99", "p99=50", "p0=50ms", "p99=0ms", "p100=5ms"])
def test_unreadable_slo_is_refused(text):
    with pytest.raises(InputError, match="such as p99=50ms"):
        parse_slo(text)


@pytest.mark.parametrize(("low", "high"), [(0, 10), (10, 10), (20, 10), (1, math.inf)])
def test_invalid_range_of_rates_is_refused(low, high):
    with pytest.raises(MeasurementError, match="two rates, the lower first"):
        find_highest_rate(P95, queue, low_rps=low, high_rps=high)


def test_search_of_a_slow_server_begins_where_a_load_takes_a_minute() -> None:
    slo = Slo(99.0, 50.0)
    assert lowest_rate_rps(slo, 10_000.0) == pytest.approx(500.0)
    rate_rps = lowest_rate_rps(slo, 32.0)
    assert slo.least_seconds(rate_rps) == pytest.approx(60.0)
    assert lowest_rate_rps(slo, 3.0) == pytest.approx(1.5)
