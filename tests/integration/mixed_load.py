"""Requests of every kind to the service `plain`, several at once, each from a traced caller."""

from __future__ import annotations

import json
import secrets
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

from bento_monitor.lab.server.process import ServerProcess

EACH = 30
NUMBER = json.dumps({"x": 3}).encode()
CASES: tuple[tuple[str, bytes | None, int], ...] = (
    ("/sync", NUMBER, 200),
    ("/asynchronous", NUMBER, 200),
    ("/stream", NUMBER, 200),
    ("/batched", json.dumps({"xs": [1, 2]}).encode(), 200),
    ("/sync", b"{", 400),
    ("/fails", NUMBER, 500),
    ("/refuses", NUMBER, 403),
    ("/nowhere", NUMBER, 404),
    ("/sync", None, 405),
)
REQUESTS = len(CASES) * EACH
STATUSES = [status for _ in range(EACH) for _, _, status in CASES]


def send_mixed_load(server: ServerProcess, *, is_sampled: bool = True) -> list[str]:
    """Send every case several times, eight requests at once; return their trace ids. Callers sample, or do not."""
    cases = [(*case, secrets.token_hex(16)) for _ in range(EACH) for case in CASES]
    flags = "01" if is_sampled else "00"
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda case: _ask(server, case[0], case[1], case[3], flags), cases))
    assert statuses == STATUSES
    return [trace_id for *_, trace_id in cases]


def _ask(server: ServerProcess, path: str, body: bytes | None, trace_id: str, flags: str) -> int:
    headers = {"Content-Type": "application/json", "traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-{flags}"}
    request = urllib.request.Request(server.base_url + path, data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            answer.read()
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.read()
        return error.code
