"""`kill -9` of a worker under load: the others are not affected, and what it took with it is reported."""

from __future__ import annotations

import pytest
from fault_kill import KillOutcome

pytestmark = pytest.mark.parametrize("outcome", ["kill -9"], indirect=True)
KILLS = 5


def test_only_what_was_in_flight_in_the_killed_worker_fails(outcome: KillOutcome) -> None:
    assert len(outcome.kills) == KILLS
    assert outcome.not_in_flight == 0
    assert outcome.answers.changed == 0
    assert outcome.answers.failed < outcome.answers.requests / 20


def test_every_account_adds_up_at_every_reading(outcome: KillOutcome) -> None:
    assert outcome.watch.reports_read >= 50
    assert outcome.watch.inexact == []


def test_those_that_were_killed_are_lost_and_the_others_have_stopped_in_order(outcome: KillOutcome) -> None:
    killed = {kill.pid for kill in outcome.kills}
    assert {found.report.pid for found in outcome.reports if found.state == "lost"} == killed
    others = [found for found in outcome.reports if found.report.pid not in killed]
    assert {found.state for found in others} == {"stopped"}
    for found in others:
        (exporter,) = found.report.stats.exporters
        assert (exporter.dropped, exporter.queued) == (0, 0)
        assert outcome.received.get(found.report.pid, 0) == exporter.exported


def test_what_was_lost_is_what_the_accounts_had_in_hand_and_what_came_after(outcome: KillOutcome) -> None:
    lost = [found for found in outcome.reports if found.state == "lost"]
    killed_at_s = {kill.pid: kill.at_s for kill in outcome.kills}
    for found in lost:
        (exporter,) = found.report.stats.exporters
        assert found.report.written_at_s < killed_at_s[found.report.pid]
        # Exports that were under way when it was last written have come all the same.
        assert exporter.exported <= outcome.received.get(found.report.pid, 0)
    missing = outcome.answers.requests - outcome.answers.failed - outcome.traced
    assert missing <= outcome.could_be_lost()
    assert outcome.duplicates == 0
