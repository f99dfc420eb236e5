"""User code that forks while an export is under way."""

from __future__ import annotations

import pytest
from fault_fork import ForkOutcome

pytestmark = pytest.mark.parametrize("outcome", ["fork", "fork, grpc"], indirect=True)


def test_the_child_exports_what_it_traces_and_ends(outcome: ForkOutcome) -> None:
    assert outcome.exit_codes == (0,) * 4
    assert outcome.forks_amid_export >= 1


def test_no_answer_fails_or_changes(outcome: ForkOutcome) -> None:
    assert (outcome.answers.failed, outcome.answers.changed) == (0, 0)


def test_every_span_comes_once_and_under_the_process_that_made_it(outcome: ForkOutcome) -> None:
    assert outcome.duplicates == 0
    instances = {span.pid: span.instance for span in outcome.spans}
    assert len(instances) == len(set(instances.values())) == 5
    assert {span.name for span in outcome.spans if span.pid != outcome.worker_pid} == {"GET /in_child"}


def test_each_process_has_an_account_of_its_own(outcome: ForkOutcome) -> None:
    assert len(outcome.accounts) == 5
    for found in outcome.accounts:
        (lane,) = found.account.stats.exporters
        assert (found.state, found.account.is_exact, lane.dropped) == ("stopped", True, 0)
        assert lane.exported == sum(span.pid == found.account.pid for span in outcome.spans)
