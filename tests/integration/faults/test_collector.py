"""A collector that fails in any way: no answer fails or changes, and every span is accounted for at every moment."""

from __future__ import annotations

import pytest
from fault_collector import Lengths, Outcome, collector_faults

ROWS = tuple(collector_faults(Lengths(1.0, 1.0, 1.0)))
EVERY_ROW = pytest.mark.parametrize("outcome", ROWS, indirect=True)
# One export is at most 128 requests and batches, and none of the service has more spans than five.
EXPORT, MOST_SPANS, QUEUE = 128, 5, 200


def rows_but(*left_out: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("outcome", [row for row in ROWS if row not in left_out], indirect=True)


@EVERY_ROW
def test_no_answer_fails_or_changes(outcome: Outcome) -> None:
    assert outcome.answers.requests > 400
    assert (outcome.answers.failed, outcome.answers.changed) == (0, 0)


@EVERY_ROW
def test_the_account_adds_up_at_every_reading_and_stays_fresh(outcome: Outcome) -> None:
    assert outcome.watch.reports_read >= 20
    assert outcome.watch.inexact == []
    during = outcome.watch.between(outcome.fault_begin_s, outcome.fault_end_s)
    # Also while an export hangs: what is waiting, queued and dropped goes on changing.
    assert len({(each.waiting, each.queued, each.dropped) for each in during}) >= 3
    assert outcome.watch.writings >= 10


@EVERY_ROW
def test_in_the_end_every_request_is_accounted_for(outcome: Outcome) -> None:
    (report,) = outcome.reports
    (exporter,) = report.stats.exporters
    assert report.is_stopped
    assert report.is_exact
    assert (report.stats.waiting, exporter.queued) == (0, 0)
    assert report.stats.submitted >= outcome.answers.requests
    # What was answered too late, or cut off, may have been taken all the same.
    assert exporter.exported <= outcome.received <= exporter.exported + exporter.dropped
    assert outcome.duplicates == 0


@pytest.mark.parametrize("outcome", ["status 400", "status 429", "status 503", "status 503, grpc"], indirect=True)
def test_what_was_refused_is_counted_as_dropped_to_the_span(outcome: Outcome) -> None:
    (exporter,) = outcome.reports[0].stats.exporters
    assert outcome.received == exporter.exported
    assert exporter.dropped > 0


@rows_but("flapping", "flapping, grpc")
def test_the_fault_cost_spans(outcome: Outcome) -> None:
    stats = outcome.reports[0].stats
    assert stats.dropped + stats.exporters[0].dropped > 0


@EVERY_ROW
def test_exports_go_on_soon_after_it_has_come_back(outcome: Outcome) -> None:
    assert outcome.resumed_s <= 10


@EVERY_ROW
def test_what_waits_and_memory_are_bounded(outcome: Outcome) -> None:
    readings = outcome.watch.readings
    assert max(each.waiting for each in readings) <= QUEUE + EXPORT
    assert max(each.queued for each in readings) <= EXPORT * MOST_SPANS
    assert outcome.growth("rss_mib") < 48


@EVERY_ROW
def test_neither_threads_nor_sockets_grow(outcome: Outcome) -> None:
    assert outcome.growth("sockets") <= 1
    assert outcome.growth("threads") <= 6


@rows_but("flapping", "flapping, grpc")  # which takes what it is there for, several times a second
def test_attempts_are_bounded(outcome: Outcome) -> None:
    seconds = outcome.fault_end_s - outcome.fault_begin_s
    assert outcome.attempts <= 4 * seconds + 4


@pytest.mark.parametrize("outcome", ["status 400", "status 429"], indirect=True)
def test_what_must_not_be_repeated_is_not(outcome: Outcome) -> None:
    """A 400 never, and a 429 not before the time that it names, which is later than an export's time is over."""
    seconds = outcome.fault_end_s - outcome.fault_begin_s
    # One export a second: another attempt at each would be twice that.
    assert 2 <= outcome.attempts <= seconds + 2
