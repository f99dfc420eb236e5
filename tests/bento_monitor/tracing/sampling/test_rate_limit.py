"""The rate limit of traces: its effect on a flood, and the burst after a quiet time."""

import logging
from pathlib import Path
from typing import Any

import pytest

from bento_monitor.settings import MonitorSettings
from bento_monitor.tracing.sampling.rate_limit import TokenBucket
from bento_monitor.tracing.telemetry import Telemetry

TRACEPARENT = [(b"traceparent", b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01")]


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_flood_gets_the_burst_and_then_the_rate() -> None:
    clock = Clock()
    bucket = TokenBucket(200, 1000, clock)
    taken = 0
    for _ in range(10_000):  # ten seconds of 1,000 per second
        taken += bucket.take()
        clock.now_s += 0.001
    assert taken == pytest.approx(1000 + 200 * 10, abs=2)


def test_quiet_time_restores_at_most_the_burst() -> None:
    clock = Clock()
    bucket = TokenBucket(10, 5, clock)
    assert [bucket.take() for _ in range(7)] == [True] * 5 + [False] * 2
    clock.now_s += 3600
    assert [bucket.take() for _ in range(7)] == [True] * 5 + [False] * 2


def test_quiet_time_before_the_first_request_gives_at_most_the_burst() -> None:
    clock = Clock()
    bucket = TokenBucket(10, 5, clock)
    assert bucket.take()
    clock.now_s += 3600
    assert [bucket.take() for _ in range(7)] == [True] * 5 + [False] * 2


@pytest.fixture
def telemetry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Any:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    return Telemetry("demo", MonitorSettings(home=tmp_path, trace_rate_burst=3, **request.param))


@pytest.mark.parametrize("telemetry", [{"trace_rate_limit": 0.001}], indirect=True)
def test_flood_of_sampled_callers_cannot_force_exports(telemetry: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "bento_monitor"):
        ledgers = [telemetry.start_ledger(TRACEPARENT, 1) for _ in range(50)]
    assert [ledger.sampled for ledger in ledgers] == [True] * 3 + [False] * 47
    assert {ledger.trace_id for ledger in ledgers} == {int("a" * 32, 16)}
    assert telemetry.rate_limited == 47
    assert [record.getMessage() for record in caplog.records] == [
        "1 requests were left untraced by the limit of 0.001 traces per second (BENTO_MONITOR_TRACE_RATE_LIMIT)."
    ]


@pytest.mark.parametrize("telemetry", [{"trace_rate_limit": 0}], indirect=True)
def test_every_sampled_request_is_traced_without_a_limit(telemetry: Any) -> None:
    assert all(telemetry.start_ledger(TRACEPARENT, 1).sampled for _ in range(2000))
