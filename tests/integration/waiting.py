"""Waiting for what a server of the tests is to come to."""

from __future__ import annotations

import time
from collections.abc import Callable

from scraping import scrape, total

from bento_monitor.serving.process import ServerProcess


def wait_until(condition: Callable[[], object], timeout_s: float = 30.0) -> None:
    """Wait until a condition holds; fails where it does not in time."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "it did not come to that in time"
        time.sleep(0.02)


def requests_in_progress(server: ServerProcess, endpoint: str) -> int:
    """How many requests BentoML's own metrics say are in progress there."""
    return int(total(scrape(server), "bentoml_service_request_in_progress", endpoint=endpoint))
