"""Blocks of load by wrk, which is in Debian: what it measured, and what the server's processes took for it."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_SCRIPT = """wrk.method = "POST"
wrk.body = [==[{body}]==]
wrk.headers["Content-Type"] = "application/json"
done = function(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  print(string.format("RESULT %d %d %d %d %d", summary.requests, summary.duration, failed,
    latency:percentile(50), latency:percentile(99)))
end
"""
_RESULT = re.compile(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+)")


@dataclass(frozen=True, slots=True)
class Block:
    """One block: requests per second, latencies, failures, and CPU microseconds of the server a request."""

    rps: float
    p50_ms: float
    p99_ms: float
    failed: int
    cpu_us: float


def require_wrk() -> None:
    """End with one sentence where wrk is missing."""
    if shutil.which("wrk") is None:
        raise SystemExit("This benchmark's client is wrk: apt-get install wrk.")


def run_block(url: str, body: str, connections: int, seconds: int, cpu_seconds: Callable[[], float]) -> Block:
    """Load a server for some seconds."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "post.lua"
        script.write_text(_SCRIPT.replace("{body}", body))
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "20s", "-s", str(script), url]
        before_s = cpu_seconds()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        took_s = cpu_seconds() - before_s
    match = _RESULT.search(done.stdout)
    if match is None:
        raise RuntimeError(f"wrk gave no result:\n{done.stdout}")
    requests, duration_us, failed, p50_us, p99_us = (int(group) for group in match.groups())
    return Block(
        rps=(requests - failed) * 1e6 / duration_us,
        p50_ms=p50_us / 1e3,
        p99_ms=p99_us / 1e3,
        failed=failed,
        cpu_us=took_s * 1e6 / max(requests, 1),
    )
