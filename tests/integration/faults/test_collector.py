"""A collector that fails in any way: no response fails or changes, and every span is always accounted for."""

from __future__ import annotations

import pytest
from fault_collector import Lengths, Outcome, collector_faults

ROWS = tuple(collector_faults(Lengths(1.0, 1.0, 1.0)))
EVERY_ROW = pytest.mark.parametrize("outcome", ROWS, indirect=True)
# One export has at most 128 requests and batches, each with at most five spans.
EXPORT, MAX_SPANS, QUEUE = 128, 5, 200


def rows_but(*left_out: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("outcome", [row for row in ROWS if row not in left_out], indirect=True)


@EVERY_ROW
def test_no_response_fails_or_changes(outcome: Outcome) -> None:
    assert outcome.answers.requests > 400
    assert (outcome.answers.failed, outcome.answers.changed) == (0, 0)


@EVERY_ROW
def test_account_is_exact_and_fresh_at_every_reading(outcome: Outcome) -> None:
    assert outcome.watch.reports_read >= 20
    assert outcome.watch.inexact == []
    during = outcome.watch.between(outcome.fault_begin_s, outcome.fault_end_s)
    # Also while an export hangs: the counts of waiting, queued and dropped records continue to change.
    assert len({(each.waiting, each.queued, each.dropped) for each in during}) >= 3
    assert outcome.watch.writings >= 10


@EVERY_ROW
def test_every_request_is_accounted_for_at_the_end(outcome: Outcome) -> None:
    (report,) = outcome.reports
    (exporter,) = report.stats.exporters
    assert report.is_stopped
    assert report.is_exact
    assert (report.stats.waiting, exporter.queued) == (0, 0)
    assert report.stats.submitted >= outcome.answers.requests
    # An export with a late or cut-off response may still have been accepted.
    assert exporter.exported <= outcome.received <= exporter.exported + exporter.dropped
    assert outcome.duplicates == 0


@pytest.mark.parametrize("outcome", ["status 400", "status 429", "status 503", "status 503, grpc"], indirect=True)
def test_every_refused_span_is_counted_as_dropped(outcome: Outcome) -> None:
    (exporter,) = outcome.reports[0].stats.exporters
    assert outcome.received == exporter.exported
    assert exporter.dropped > 0


@rows_but("flapping", "flapping, grpc")
def test_fault_drops_spans(outcome: Outcome) -> None:
    stats = outcome.reports[0].stats
    assert stats.dropped + stats.exporters[0].dropped > 0


@EVERY_ROW
def test_exports_resume_soon_after_the_collector_is_back(outcome: Outcome) -> None:
    assert outcome.resumed_s <= 10


@EVERY_ROW
def test_queues_and_memory_are_bounded(outcome: Outcome) -> None:
    readings = outcome.watch.readings
    assert max(each.waiting for each in readings) <= QUEUE + EXPORT
    assert max(each.queued for each in readings) <= EXPORT * MAX_SPANS
    assert outcome.growth("rss_mib") < 48


@EVERY_ROW
def test_neither_threads_nor_sockets_grow(outcome: Outcome) -> None:
    assert outcome.growth("sockets") <= 1
    assert outcome.growth("threads") <= 6


@rows_but("flapping", "flapping, grpc")  # a flapping collector accepts exports in between, several per second
def test_attempts_are_bounded(outcome: Outcome) -> None:
    seconds = outcome.fault_end_s - outcome.fault_begin_s
    assert outcome.attempts <= 4 * seconds + 4


@pytest.mark.parametrize("outcome", ["status 400", "status 429"], indirect=True)
def test_exports_that_must_not_be_retried_are_not(outcome: Outcome) -> None:
    """A 400 is never retried, a 429 not before its Retry-After, which is after the export's timeout."""
    seconds = outcome.fault_end_s - outcome.fault_begin_s
    # One export per second: a retry of each would double that.
    assert 2 <= outcome.attempts <= seconds + 2
