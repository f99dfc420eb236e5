"""A step of a build in a process of its own, so that its memory and time are bounded and its crash is an error."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..errors import ArtifactError

MEMORY_LIMIT_BYTES = 16 * 2**30
TIMEOUT_S = 600.0
_RESULT = "result.json"


def run_in_child(
    module: str,
    what: str,
    settings: Mapping[str, Any],
    *,
    memory_limit_bytes: int = MEMORY_LIMIT_BYTES,
    timeout_s: float = TIMEOUT_S,
) -> Any:
    """Run a module whose `main` calls `serve_child`, and return its result, as JSON values.

    Raises:
        ArtifactError: the step failed or crashed, or exceeded its memory or time limit.
    """
    command = [sys.executable, "-P", "-m", module, json.dumps({**settings, "memory_limit_bytes": memory_limit_bytes})]
    with tempfile.TemporaryDirectory(prefix="bento-monitor-build-") as folder:
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=timeout_s, check=False)
        except subprocess.TimeoutExpired:
            raise ArtifactError(f"{what} took longer than {timeout_s:.0f} s.") from None
        if done.returncode == 0:
            return json.loads((Path(folder) / _RESULT).read_text(encoding="utf-8"))
    reason = (done.stderr.strip().splitlines() or ["no error output"])[-1]
    raise ArtifactError(f"{what} failed ({_ending(done.returncode)}): {reason}")


def serve_child(run: Callable[[dict[str, Any]], Any]) -> None:
    """Run a step in the child, with the settings in the first argument and within its memory limit."""
    import resource

    settings = json.loads(sys.argv[1])
    limit = settings.pop("memory_limit_bytes")
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    Path(_RESULT).write_text(json.dumps(run(settings)), encoding="utf-8")


def _ending(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
