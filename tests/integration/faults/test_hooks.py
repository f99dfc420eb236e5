"""Functions of the monitor that raise, and a read-only disk: the monitor suffers, requests do not."""

from __future__ import annotations

import pytest
from fault_disk import DiskOutcome
from fault_hooks import GROUPS, HookOutcome

BROKEN = [f"broken: {name}" for name in GROUPS]


@pytest.mark.parametrize("outcome", BROKEN, indirect=True)
def test_no_response_fails_or_changes(outcome: HookOutcome) -> None:
    assert outcome.answers.requests > 100
    assert (outcome.answers.failed, outcome.answers.changed) == (0, 0)


@pytest.mark.parametrize("outcome", [row for row in BROKEN if row != "broken: request_id"], indirect=True)
def test_response_has_its_usual_headers(outcome: HookOutcome) -> None:
    assert outcome.headers == {"content-length", "content-type", "date", "server", "x-bentoml-request-id"}


@pytest.mark.parametrize("outcome", BROKEN, indirect=True)
def test_repeated_bug_is_logged_only_a_few_times(outcome: HookOutcome) -> None:
    # Once in a traceback and its last line, for each broken hook, in each of at most two workers.
    assert 1 <= outcome.raised <= 20


@pytest.mark.parametrize(
    ("outcome", "part"),
    [
        ("broken: start_ledger", "Tracing of requests"),
        ("broken: enter_request", "Tracing of requests"),
        ("broken: finish", "Tracing of requests"),
        ("broken: request_id", "Tracing of requests"),
        ("broken: batches, metrics", "Tracing of batches"),
        ("broken: batches, metrics", "Writing metrics"),
        ("broken: batch ends, access log", "Tracing of batches"),
        ("broken: batch ends, access log", "Writing the access log"),
        ("broken: notes, spans, provider", "Noting requests for the access log"),
        ("broken: turn", "Sharing connections among workers"),
        ("broken: connection counts", "Sharing connections among workers"),
    ],
    indirect=["outcome"],
)
def test_part_that_fails_repeatedly_is_switched_off(outcome: HookOutcome, part: str) -> None:
    assert f"{part} failed; the request is not affected." in outcome.log
    assert f"{part} failed 5 times within 10 s and is switched off for 30 s." in outcome.log


@pytest.mark.parametrize("outcome", ["broken: notes, spans, provider"], indirect=True)
def test_records_whose_spans_cannot_be_built_are_logged_and_counted(outcome: HookOutcome) -> None:
    assert "records could not be built (RuntimeError)." in outcome.log


@pytest.mark.parametrize("outcome", ["no disk"], indirect=True)
def test_unwritable_home_is_logged_once_and_harms_no_request(outcome: DiskOutcome) -> None:
    assert (outcome.answers.failed, outcome.answers.changed) == (0, 0)
    assert outcome.log.count("The delivery report cannot be written") == 1
    assert outcome.log.count("StoreSpanExporter lost spans") == 1
