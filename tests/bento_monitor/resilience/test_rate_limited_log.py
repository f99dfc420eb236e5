"""A log line for what happens often: one an interval, with their number."""

import logging
import time

import pytest

from bento_monitor.resilience.rate_limited_log import OutageLog, RateLimitedLog


def test_it_is_said_once_an_interval_with_the_number(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    log = RateLimitedLog(logging.getLogger("bento_monitor"), "%d times, the last time: %s", 60.0)
    with caplog.at_level(logging.WARNING, "bento_monitor"):
        for now_s in (1000.0, 1001.0, 1059.0, 1061.0):
            monkeypatch.setattr(time, "monotonic", lambda now_s=now_s: now_s)
            log.note("why")
    assert [record.args for record in caplog.records] == [(1, "why"), (3, "why")]


def test_an_outage_is_said_once_and_again_after_it_has_worked(caplog: pytest.LogCaptureFixture) -> None:
    log = OutageLog(logging.getLogger("bento_monitor"), "it fails: %s")
    with caplog.at_level(logging.WARNING, "bento_monitor"):
        for step in ("a", "b", None, None, "c", "d"):
            if step is None:
                log.worked()
            else:
                log.failed(step)
    assert [record.args for record in caplog.records] == [("a",), ("c",)]
