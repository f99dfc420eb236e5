"""User code that forks during an export."""

from __future__ import annotations

import pytest
from fault_child import ChildEnd
from fault_fork import ForkOutcome

FORKS, TRACED_BY_CHILD = 4, 3

pytestmark = pytest.mark.parametrize("outcome", ["fork"], indirect=True)


def test_child_exports_its_traces_and_exits(outcome: ForkOutcome) -> None:
    assert outcome.exit_codes == (ChildEnd.EXPORTED,) * FORKS
    assert outcome.forks_amid_export >= 1


def test_no_response_fails_or_changes(outcome: ForkOutcome) -> None:
    assert (outcome.answers.failed, outcome.answers.changed) == (0, 0)


def test_every_span_arrives_once(outcome: ForkOutcome) -> None:
    assert outcome.duplicates == 0


def test_spans_of_a_child_name_its_own_process(outcome: ForkOutcome) -> None:
    instances = {span.pid: span.instance for span in outcome.spans}
    assert len(instances) == len(set(instances.values())) == 1 + FORKS
    assert {span.name for span in outcome.spans if span.pid != outcome.worker_pid} == {"GET /in_child"}


def test_each_process_has_its_own_account(outcome: ForkOutcome) -> None:
    assert len(outcome.reports) == 1 + FORKS
    for found in outcome.reports:
        (exporter,) = found.report.stats.exporters
        assert (found.state, found.report.is_exact, exporter.queued) == ("stopped", True, 0)
        assert exporter.exported == sum(span.pid == found.report.pid for span in outcome.spans)
        if found.report.pid != outcome.worker_pid:
            assert exporter.built == TRACED_BY_CHILD
