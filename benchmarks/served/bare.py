"""The workloads' functions called in a loop, without a server: `python -m served.bare`, one line per job and answer.

A job is `{"model": "model_5ms", "seconds": 2}` or `{"batches": [["a text", ...], ...]}`; the answer is
`{"cpu_s": ..., "calls": ...}`. The process stays up, so that it is as warm as the server next to it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import cache
from typing import Any


def main() -> None:
    for line in sys.stdin:
        job = json.loads(line)
        answer = run_batches(job["batches"]) if "batches" in job else run_model(job["model"], job["seconds"])
        print(json.dumps(answer), flush=True)


def run_model(name: str, seconds: float) -> dict[str, float]:
    function = model(name)
    function(3)
    started_s, calls, end_s = time.process_time(), 0, time.monotonic() + seconds
    while time.monotonic() < end_s:
        function(3)
        calls += 1
    return {"cpu_s": time.process_time() - started_s, "calls": calls}


def run_batches(batches: list[list[str]]) -> dict[str, float]:
    function = embedder()
    started_s = time.process_time()
    for batch in batches:
        function(batch)
    return {"cpu_s": time.process_time() - started_s, "calls": len(batches)}


@cache
def model(name: str) -> Callable[[int], int]:
    from served.plain import Served

    return own_function(Served, name)


@cache
def embedder() -> Callable[[list[str]], Any]:
    """Return the example's function, with its model loaded and called once."""
    from served.search_plain import SemanticSearch

    function = own_function(SemanticSearch, "embed")
    function(["the first call allocates"])
    return function


def own_function(service: Any, name: str) -> Callable[[Any], Any]:
    """Return a service's function on an instance of its class, as BentoML would call it."""
    instance, function = service.inner(), getattr(service.inner, name).func
    return lambda value: function(instance, value)


if __name__ == "__main__":
    main()
