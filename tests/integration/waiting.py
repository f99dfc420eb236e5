"""Waiting for what a server of the tests is to come to."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from scraping import scrape, total

from bento_monitor.lab.server.process import ServerProcess

_LOG_CHARS = 4000


def wait_until(condition: Callable[[], object], timeout_s: float = 30.0, *, log: Path | None = None) -> None:
    """Wait until a condition holds; fails where it does not in time, with the end of `log`."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline_s:
            said = "" if log is None else f"; the log ends with\n{log.read_text(errors='replace')[-_LOG_CHARS:]}"
            raise AssertionError("it did not come to that in time" + said)
        time.sleep(0.02)


def requests_in_progress(server: ServerProcess, endpoint: str) -> int:
    """How many requests BentoML's own metrics say are in progress there."""
    return int(total(scrape(server), "bentoml_service_request_in_progress", endpoint=endpoint))
