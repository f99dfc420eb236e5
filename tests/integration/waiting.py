"""Waiting for what a server of the tests is to come to."""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Callable

from bento_monitor.serving.process import ServerProcess


def wait_until(condition: Callable[[], object], timeout_s: float = 30.0) -> None:
    """Wait until a condition holds; fails where it does not in time."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "it did not come to that in time"
        time.sleep(0.02)


def requests_in_progress(server: ServerProcess, endpoint: str) -> int:
    """How many requests BentoML's own metrics say are in progress there."""
    with urllib.request.urlopen(f"{server.base_url}/metrics", timeout=10) as response:
        text = response.read().decode()
    pattern = rf'^bentoml_service_request_in_progress\{{[^}}]*endpoint="{endpoint}"[^}}]*\}} (\S+)$'
    return sum(int(float(value)) for value in re.findall(pattern, text, re.MULTILINE))
