"""User code that forks while an export is under way."""

from __future__ import annotations

import pytest
from fault_child import ChildEnd
from fault_fork import ForkOutcome

FORKS, TRACED_BY_CHILD = 4, 3

pytestmark = pytest.mark.parametrize("outcome", ["fork"], indirect=True)


def test_the_child_exports_what_it_traces_and_ends(outcome: ForkOutcome) -> None:
    assert outcome.exit_codes == (ChildEnd.EXPORTED,) * FORKS
    assert outcome.forks_amid_export >= 1


def test_no_answer_fails_or_changes(outcome: ForkOutcome) -> None:
    assert (outcome.answers.failed, outcome.answers.changed) == (0, 0)


def test_every_span_comes_once(outcome: ForkOutcome) -> None:
    assert outcome.duplicates == 0


def test_a_child_s_spans_come_under_its_own_process(outcome: ForkOutcome) -> None:
    instances = {span.pid: span.instance for span in outcome.spans}
    assert len(instances) == len(set(instances.values())) == 1 + FORKS
    assert {span.name for span in outcome.spans if span.pid != outcome.worker_pid} == {"GET /in_child"}


def test_each_process_has_an_account_of_its_own(outcome: ForkOutcome) -> None:
    assert len(outcome.reports) == 1 + FORKS
    for found in outcome.reports:
        (exporter,) = found.report.stats.exporters
        assert (found.state, found.report.is_exact, exporter.queued) == ("stopped", True, 0)
        assert exporter.exported == sum(span.pid == found.report.pid for span in outcome.spans)
        if found.report.pid != outcome.worker_pid:
            assert exporter.built == TRACED_BY_CHILD
