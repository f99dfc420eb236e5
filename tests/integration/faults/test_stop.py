"""SIGTERM with a dead collector."""

from __future__ import annotations

from concurrent.futures import Future, wait
from typing import Any

import pytest
from fault_stop import DEAD_COLLECTORS, StopOutcome, run_stops


@pytest.fixture(scope="module")
def stops(rows: dict[str, Future[Any]], tmp_path_factory: pytest.TempPathFactory) -> dict[str, StopOutcome]:
    # Only these tests measure time, so nothing else runs next to them.
    wait(rows.values())
    return run_stops(2.0, 60.0, tmp_path_factory.mktemp("stops"))


@pytest.mark.parametrize("name", DEAD_COLLECTORS)
def test_worker_exits_within_two_seconds_of_its_last_response(stops: dict[str, StopOutcome], name: str) -> None:
    assert stops[name].worker_s <= 2.0


@pytest.mark.parametrize("name", DEAD_COLLECTORS)
def test_unexported_spans_are_counted_and_no_response_fails(stops: dict[str, StopOutcome], name: str) -> None:
    outcome = stops[name]
    assert (outcome.answers.failed, outcome.answers.changed) == (0, 0)
    (found,) = outcome.reports
    (exporter,) = found.report.stats.exporters
    assert (found.state, found.report.is_exact) == ("stopped", True)
    assert (found.report.stats.waiting, exporter.queued, exporter.exported) == (0, 0, 0)
    assert found.report.stats.submitted >= outcome.answers.requests
