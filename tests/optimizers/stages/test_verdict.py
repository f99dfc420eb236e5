from __future__ import annotations

import re

import pytest

from bento_monitor.lab.loadgen.slo import Slo
from optimizers.stages.verdict import verdict_of

GOOD = {
    "speedup": 1.87,
    "speedup_ci95": [1.7, 2.1],
    "aa_ratio": 1.0,
    "aa_ratio_ci95": [0.98, 1.02],
    "slo_in_time_ratio": None,
    "slo_percentile_ms": None,
    "alone_p50_ratio": 1.02,
    "alone_p50_ratio_ci95": [1.0, 1.04],
    "baseline_alone_p50_ms": 5.4,
    "optimized_alone_p50_ms": 5.5,
    "half_load_rps": 48.0,
    "half_load_percentile": 99,
    "half_load_p99_ratio": 0.8,
    "half_load_p99_ratio_ci95": [0.7, 0.9],
    "baseline_half_load_p99_ms": 60.0,
    "optimized_half_load_p99_ms": 48.0,
    "harm_blocks": 10,
    "optimized_harm_requests": 5000,
    "baseline_failed": 0,
    "optimized_failed": 0,
}
SLO = Slo(99.0, 50.0)


def refused(*, slo=None, allow=False, **changes):
    return verdict_of({**GOOD, **changes}, slo=slo, allow_slower_alone=allow)


def test_faster_and_harmless_winner_is_released():
    assert refused() is None
    assert refused(slo=SLO, slo_in_time_ratio=0.99, slo_percentile_ms=50.0) is None
    assert refused(alone_p50_ratio_ci95=[1.0, 1.1], half_load_p99_ratio_ci95=[1.0, 1.25]) is None


CASES = {
    "slower": ({"speedup": 0.9, "speedup_ci95": [0.85, 0.95]}, r"is slower: 0\.90 times .*\[0\.85, 0\.95\]"),
    "not told apart": (
        {"speedup": 1.02, "speedup_ci95": [0.97, 1.07]},
        r"cannot be distinguished from the baseline.*--blocks",
    ),
    "noisy machine": (
        {"speedup_ci95": [1.35, 2.59], "aa_ratio_ci95": [0.5, 1.59]},
        r"baseline measured against itself gives an interval of \[0\.50, 1\.59\].*1\.87 times .*\[1\.35, 2\.59\]",
    ),
    "slo": ({"slo_in_time_ratio": 0.962, "slo_percentile_ms": 61.0}, r"breaks --slo p99=50ms .* 96\.20%.*61\.0 ms"),
    "failures": ({"optimized_failed": 7}, r"7 of 5000 requests .* failed, but only 0 of the baseline's"),
    "alone": (
        {"alone_p50_ratio": 1.59, "alone_p50_ratio_ci95": [1.5, 1.7], "optimized_alone_p50_ms": 8.6},
        r"lone client's median latency is longer: 8\.6 ms against the baseline's 5\.4 ms \(1\.59 times.*--allow-slower",
    ),
    "half load": (
        {"half_load_p99_ratio": 1.1, "half_load_p99_ratio_ci95": [0.9, 1.3]},
        r"p99 of an open load at 48\.0 requests/s.* is not shown to be at most 1\.25 times as long",
    ),
}


@pytest.mark.parametrize("reason", CASES)
def test_refusal_names_its_reason_and_figures(reason):
    changes, sentence = CASES[reason]
    found = refused(slo=SLO, **changes)
    assert found.reason == reason
    assert re.search(sentence, found.sentence), found.sentence
    assert "Nothing was released" in found.sentence


@pytest.mark.parametrize("reason", CASES)
def test_only_harm_alone_or_at_half_load_can_be_allowed(reason):
    changes, _ = CASES[reason]
    allowed = refused(slo=SLO, allow=True, **changes)
    assert (allowed is None) == (reason in ("alone", "half load"))


def test_no_latency_is_advised_without_an_slo():
    assert refused(slo_in_time_ratio=0.5, slo_percentile_ms=99.0) is None
    for changes, _ in CASES.values():
        found = refused(**changes)
        assert found is None or "more latency" not in found.sentence


def test_wide_baseline_interval_is_not_reported_as_a_tie():
    found = refused(speedup_ci95=[1.35, 2.59], aa_ratio_ci95=[0.5, 1.59])
    assert "cannot be distinguished" not in found.sentence
