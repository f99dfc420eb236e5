"""Tail sampling: unsampled requests that are kept at their end."""

from __future__ import annotations

import random

import pytest

from bento_monitor.tracing.ledger.ledger import Ledger
from bento_monitor.tracing.sampling.rate_limit import TokenBucket
from bento_monitor.tracing.sampling.tail_sampling import FAILED, FIRST, REASONS, SLOW, TailSampler

MS = 1_000_000


def ended(took_ms: float = 5, status: int = 200, *, route: str | None = "/a", error: str | None = None) -> Ledger:
    ledger = Ledger(trace_id=1, parent_span_id=0, sampled=False, received_ns=1000)
    ledger.route, ledger.status, ledger.error_type = route, status, error
    ledger.sent_ns = 1000 + int(took_ms * MS)
    return ledger


@pytest.mark.parametrize(
    ("status", "error", "is_failed"),
    [
        (200, None, False),
        (404, None, False),
        (429, None, False),
        (500, "500", True),
        (503, None, True),
        (0, "ClientDisconnect", False),
        (0, "ValueError", True),
    ],
)
def test_failed_request_is_kept(status: int, error: str | None, is_failed: bool) -> None:
    keep = TailSampler([FAILED], None, None)
    assert keep.reason_for(ended(status=status, error=error)) == (FAILED if is_failed else None)


def test_first_request_of_a_kind_is_kept_once() -> None:
    keep = TailSampler([FIRST], None, None)
    kinds = [ended(), ended(status=404), ended(route="/b"), ended(), ended(status=404), ended(route="/b")]
    assert [keep.reason_for(ledger) for ledger in kinds] == [FIRST] * 3 + [None] * 3


def test_request_over_the_given_duration_is_slow() -> None:
    keep = TailSampler([SLOW], 20, None)
    assert [keep.reason_for(ended(took)) for took in (19.9, 20, 300)] == [None, SLOW, SLOW]


@pytest.mark.parametrize("spread", [0.05, 1.0])
def test_slowest_hundredth_of_a_route_is_slow_by_default(spread: float) -> None:
    chance = random.Random(1)
    keep = TailSampler([SLOW], None, None)
    took_ms = {"/fast": [], "/long": []}
    kept_ms = {"/fast": [], "/long": []}
    for _ in range(20_000):
        for route, middle_ms in (("/fast", 1.0), ("/long", 500.0)):
            value = middle_ms * chance.lognormvariate(0, spread)
            took_ms[route].append(value)
            if keep.reason_for(ended(value, route=route)):
                kept_ms[route].append(value)
    for route, kept in kept_ms.items():
        assert 0.005 < len(kept) / len(took_ms[route]) < 0.02
        assert min(kept) > sorted(took_ms[route])[10_000]


def test_sampled_request_is_learned_from_and_needs_no_reason() -> None:
    keep = TailSampler(REASONS, None, None)
    first = ended()
    first.sampled = True
    assert keep.reason_for(first) is None
    assert keep.reason_for(ended()) is None


def test_flood_of_failures_is_kept_no_faster_than_the_limit() -> None:
    now_s = 0.0
    keep = TailSampler([FAILED], None, TokenBucket(10, 100, lambda: now_s))
    kept = sum(keep.reason_for(ended(status=500)) is not None for _ in range(1000))
    now_s = 1.0
    kept += sum(keep.reason_for(ended(status=500)) is not None for _ in range(1000))
    assert kept == 110


def test_first_of_a_kind_dropped_by_the_limit_is_kept_later() -> None:
    now_s = 0.0
    keep = TailSampler([FIRST], None, TokenBucket(1, 1, lambda: now_s))
    assert keep.reason_for(ended(route="/a")) == FIRST
    assert keep.reason_for(ended(route="/b")) is None  # because of the limit
    now_s = 1.0
    assert [keep.reason_for(ended(route=route)) for route in ("/b", "/b", "/a")] == [FIRST, None, None]


def test_sampled_first_of_a_kind_counts_and_needs_no_token() -> None:
    keep = TailSampler([FIRST], None, TokenBucket(1, 1, lambda: 0.0))
    sampled = ended(route="/a")
    sampled.sampled = True
    assert [keep.reason_for(ledger) for ledger in (sampled, ended(route="/a"), ended(route="/b"))] == [
        None,
        None,
        FIRST,
    ]
