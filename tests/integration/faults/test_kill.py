"""`kill -9` of a worker under load: the others are not affected, and its lost spans are reported."""

from __future__ import annotations

import pytest
from fault_kill import KillOutcome

pytestmark = pytest.mark.parametrize("outcome", ["kill -9"], indirect=True)
KILLS = 5


def test_only_requests_in_flight_in_the_killed_worker_fail(outcome: KillOutcome) -> None:
    assert len(outcome.kills) == KILLS
    assert outcome.not_in_flight == 0
    assert outcome.answers.changed == 0
    assert outcome.answers.failed < outcome.answers.requests / 20


def test_every_account_is_exact_at_every_reading(outcome: KillOutcome) -> None:
    assert outcome.watch.reports_read >= 50
    assert outcome.watch.inexact == []


def test_killed_workers_are_lost_and_the_others_shut_down_cleanly(outcome: KillOutcome) -> None:
    killed = {kill.pid for kill in outcome.kills}
    assert {found.report.pid for found in outcome.reports if found.state == "lost"} == killed
    others = [found for found in outcome.reports if found.report.pid not in killed]
    assert {found.state for found in others} == {"stopped"}
    for found in others:
        (exporter,) = found.report.stats.exporters
        assert (exporter.dropped, exporter.queued) == (0, 0)
        assert outcome.received.get(found.report.pid, 0) == exporter.exported


def test_losses_are_bounded_by_the_last_account_and_later_requests(outcome: KillOutcome) -> None:
    lost = [found for found in outcome.reports if found.state == "lost"]
    killed_at_s = {kill.pid: kill.at_s for kill in outcome.kills}
    for found in lost:
        (exporter,) = found.report.stats.exporters
        assert found.report.written_at_s < killed_at_s[found.report.pid]
        # Exports in flight when the report was last written have arrived all the same.
        assert exporter.exported <= outcome.received.get(found.report.pid, 0)
    missing = outcome.answers.requests - outcome.answers.failed - outcome.traced
    assert missing <= outcome.could_be_lost()
    assert outcome.duplicates == 0
