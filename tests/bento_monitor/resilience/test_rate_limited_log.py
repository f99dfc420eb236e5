"""A log line for frequent events: one per interval, with their number."""

import logging
import time

import pytest

from bento_monitor.resilience.rate_limited_log import OutageLog, RateLimitedLog


def test_event_is_logged_once_per_interval_with_its_count(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    log = RateLimitedLog(logging.getLogger("bento_monitor"), "%d times, the last time: %s", 60.0)
    with caplog.at_level(logging.WARNING, "bento_monitor"):
        for now_s in (1000.0, 1001.0, 1059.0, 1061.0):
            monkeypatch.setattr(time, "monotonic", lambda now_s=now_s: now_s)
            log.note("why")
    assert [record.args for record in caplog.records] == [(1, "why"), (3, "why")]


def test_outage_is_logged_once_and_again_after_a_recovery(caplog: pytest.LogCaptureFixture) -> None:
    log = OutageLog(logging.getLogger("bento_monitor"), "it fails: %s")
    with caplog.at_level(logging.WARNING, "bento_monitor"):
        for step in ("a", "b", None, None, "c", "d"):
            if step is None:
                log.worked()
            else:
                log.failed(step)
    assert [record.args for record in caplog.records] == [("a",), ("c",)]
