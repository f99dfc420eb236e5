"""Waiting for a condition of a server under test."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from scraping import scrape, total

from bento_monitor.lab.server.process import ServerProcess

_LOG_CHARS = 4000


def wait_until(condition: Callable[[], object], timeout_s: float = 30.0, *, log: Path | None = None) -> None:
    """Wait until a condition holds; fail with the end of `log` if it does not in time."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline_s:
            said = "" if log is None else f"; the log ends with\n{log.read_text(errors='replace')[-_LOG_CHARS:]}"
            raise AssertionError("the condition did not hold in time" + said)
        time.sleep(0.02)


def requests_in_progress(server: ServerProcess, endpoint: str) -> int:
    """Return the number of requests in progress, from BentoML's own metrics."""
    return int(total(scrape(server), "bentoml_service_request_in_progress", endpoint=endpoint))
