"""Fixtures that run the rows of the chosen tests, several at a time: nearly all of a fault's time is waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fault_attributes import run_odd_attributes
from fault_collector import Lengths, collector_faults, run_collector_fault
from fault_disk import run_without_disk
from fault_flood import run_flood, run_heavy_headers
from fault_fork import run_forks
from fault_hooks import GROUPS, run_broken
from fault_kill import run_kills

SHORT = Lengths(before_s=1.0, fault_s=10.0, rate_rps=60.0, flap_s=1.0, timeout_s=2.0, queue_size=200)
AT_ONCE = 4

# The longest first.
ROWS: Mapping[str, Callable[[Path], Any]] = {
    "kill -9": lambda home: run_kills(5, 60.0, home, SHORT.environment),
    **{name: partial(run_collector_fault, name, SHORT) for name in collector_faults(SHORT)},
    **{f"broken: {name}": partial(run_broken, hooks, 3.0, 60.0) for name, hooks in GROUPS.items()},
    "fork": lambda home: run_forks(4, 60.0, "http/protobuf", home),
    "flood": lambda home: run_flood(4.0, 300.0, home),
    "heavy headers": run_heavy_headers,
    "odd attributes": lambda home: run_odd_attributes(2.0, 60.0, home),
    "no disk": lambda home: run_without_disk(2.0, 60.0, home),
}


@pytest.fixture(scope="session")
def rows(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Any]]]:
    params = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    asked = {param["outcome"] for param in params if "outcome" in param}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {name: pool.submit(row, tmp_path_factory.mktemp("row")) for name, row in ROWS.items() if name in asked}


@pytest.fixture
def outcome(request: pytest.FixtureRequest, rows: dict[str, Future[Any]]) -> Any:
    """The outcome of the row of that name."""
    return rows[request.param].result()
