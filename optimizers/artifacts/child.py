"""A step of a build in a process of its own, so that its memory and time are bounded and its crash is an error."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bento_monitor.machine import over_limit, resident_bytes, safe_bytes

from ..errors import ArtifactError

TIMEOUT_S = 600.0
_CHECK_S = 0.1
_RESULT, _OUTPUT = "result.json", "output.txt"


def run_in_child(
    module: str,
    what: str,
    settings: Mapping[str, Any],
    *,
    memory_limit_bytes: int | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Any:
    """Run a module whose `main` calls `serve_child`, and return its result, as JSON values.

    The limit is one of resident memory: address space, which libraries reserve without use, costs nothing. By default,
    it is 80 % of the memory that is available.

    Raises:
        ArtifactError: the step failed or crashed, or exceeded its memory or time limit.
    """
    command = [sys.executable, "-P", "-m", module, json.dumps(settings)]
    limit = safe_bytes() if memory_limit_bytes is None else memory_limit_bytes
    with tempfile.TemporaryDirectory(prefix="bento-monitor-build-") as folder:
        output = Path(folder) / _OUTPUT
        with output.open("wb") as log:
            process = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        try:
            _wait(process, what, limit, timeout_s)
        finally:  # also after Ctrl-C, which the child in its own session does not get
            _kill(process)
        if process.returncode == 0:
            return json.loads((Path(folder) / _RESULT).read_text(encoding="utf-8"))
        lines = output.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    raise ArtifactError(f"{what} failed ({_ending(process.returncode)}): {lines[-1] if lines else 'no error output'}")


def serve_child(run: Callable[[dict[str, Any]], Any]) -> None:
    """Run a step in the child, with the settings in the first argument."""
    Path(_RESULT).write_text(json.dumps(run(json.loads(sys.argv[1]))), encoding="utf-8")


def _wait(process: subprocess.Popen[bytes], what: str, memory_limit_bytes: int, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, min(_CHECK_S, deadline - time.monotonic())))
            return
        if time.monotonic() >= deadline:
            raise ArtifactError(f"{what} took longer than {timeout_s:.0f} s.")
        used = resident_bytes(process.pid)
        if used is not None and used > memory_limit_bytes:
            raise ArtifactError(f"{what} {over_limit(used, memory_limit_bytes)}.")


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _ending(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
