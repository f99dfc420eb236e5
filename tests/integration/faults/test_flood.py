"""Callers that force traces, or send huge tracing headers."""

from __future__ import annotations

import pytest
from fault_flood import FloodOutcome, heavy_headers
from fault_server import Reply


@pytest.mark.parametrize("outcome", ["flood"], indirect=True)
def test_flood_of_sampled_requests_is_answered_and_traced_up_to_the_limit(outcome: FloodOutcome) -> None:
    assert outcome.answers.requests > 3 * outcome.allowed
    assert (outcome.answers.failed, outcome.answers.changed) == (0, 0)
    assert 50 <= outcome.traced <= outcome.allowed
    assert outcome.watch.inexact == []


@pytest.mark.parametrize("outcome", ["heavy headers"], indirect=True)
def test_tracing_headers_change_no_response(outcome: dict[str, Reply]) -> None:
    assert {name: reply.status for name, reply in outcome.items()} == {
        name: status for name, (_, status) in heavy_headers().items()
    }
    assert {reply.body for reply in outcome.values() if reply.status == 200} == {b"2"}
