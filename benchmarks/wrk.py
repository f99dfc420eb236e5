"""Blocks of load by wrk, which is in Debian: its measurements, and the CPU time of the server's processes."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

_SCRIPT = """wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
{HEADERS}
local bodies = {BODIES}
if #bodies == 1 then
  wrk.body = bodies[1]
else
  local requests, last = {}, 0
  init = function(args)
    for index, body in ipairs(bodies) do requests[index] = wrk.format(nil, nil, nil, body) end
  end
  request = function()
    last = last % #requests + 1
    return requests[last]
  end
end
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
    """One block: answered requests and their rate, latencies, failures, and the server's CPU time per request."""

    requests: int
    rps: float
    p50_ms: float
    p99_ms: float
    failed: int
    cpu_us: float


def require_wrk() -> None:
    """Exit with one sentence if wrk is missing."""
    if shutil.which("wrk") is None:
        raise SystemExit("This benchmark's client is wrk: apt-get install wrk.")


def run_block(
    url: str,
    bodies: Sequence[bytes],
    connections: int,
    seconds: int,
    *,
    headers: Sequence[tuple[str, str]] = (),
    cpu_seconds: Callable[[], float],
    halfway: Callable[[], None] = lambda: None,
) -> Block:
    """Load a server for some seconds with bodies in turn, and with `headers` in addition to the content type.

    `halfway` is called while all connections are open.
    """
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "post.lua"
        literals = ", ".join(f"[==[{body.decode()}]==]" for body in bodies)
        lines = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in headers)
        script.write_text(_SCRIPT.replace("{BODIES}", f"{{{literals}}}").replace("{HEADERS}", lines))
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "20s", "-s", str(script), url]
        before_s = cpu_seconds()
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
            time.sleep(seconds / 2)
            halfway()
            output, _ = client.communicate()
        took_s = cpu_seconds() - before_s
    match = _RESULT.search(output)
    if match is None:
        raise RuntimeError(f"wrk gave no result, and exit code {client.returncode}:\n{output}")
    requests, duration_us, failed, p50_us, p99_us = (int(group) for group in match.groups())
    return Block(
        requests=requests,
        rps=(requests - failed) * 1e6 / duration_us,
        p50_ms=p50_us / 1e3,
        p99_ms=p99_us / 1e3,
        failed=failed,
        cpu_us=took_s * 1e6 / max(requests, 1),
    )
