"""The time that a request may wait for its batch."""

import pytest

from bento_monitor.batching.latency_budget import LatencyBudget

MS = 1_000_000


@pytest.mark.parametrize(
    ("durations_ms", "longest_wait_ms"),
    [
        ([], 100),
        ([30], 70),
        ([30, 80, 60], 70),
        ([100], 100),
        ([900, 400], 100),
        ([10] + [40] * 16, 60),
    ],
)
def test_request_waits_while_a_fast_batch_can_still_answer_in_time(
    durations_ms: list[int], longest_wait_ms: int
) -> None:
    latency_budget = LatencyBudget(max_latency_ms=100)
    for duration_ms in durations_ms:
        latency_budget.note(duration_ms * MS)
    assert latency_budget.longest_wait_ns == longest_wait_ms * MS
