"""A model host as a child process: one request at a time, a deadline for each, and no child left behind."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...errors import BentoMonitorError, InputError, MeasurementError, ReleaseError, ServiceError

_ERRORS: dict[str, type[BentoMonitorError]] = {
    error.__name__: error for error in (BentoMonitorError, InputError, ServiceError, ReleaseError, MeasurementError)
}
# Operations that run only the user's code, so the input causes their failures.
_ACTIVITIES = {"describe": "it imported the service", "answer": "the API answered the first sample"}
_LONGEST_LINE = 300
_EXIT_TIMEOUT_S = 2.0
_READ_BYTES = 2**16


class HostProcess:
    """The child and the pipe to it; its stdout and stderr go to `log`."""

    def __init__(self, target: str, working_dir: Path, env: Mapping[str, str] | None, log: Path) -> None:
        self._log = log
        with log.open("wb") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "bento_monitor.lab.model_host", target],
                cwd=working_dir,
                env=None if env is None else dict(env),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
            )
        self._buffer = b""

    def request(
        self,
        operation: str,
        arguments: Mapping[str, Any],
        *,
        timeout_s: float,
        on_progress: Callable[[float], None] | None,
    ) -> Any:
        """Send one request and wait for its result.

        Raises:
            BentoMonitorError: what the child raised, as its own class.
            ServiceError: the child died while it imported the service or answered the first sample.
            MeasurementError: the child died later, or took longer than `timeout_s`.
        """
        deadline = time.monotonic() + timeout_s
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # reading the reply reports the child's death
            self._process.stdin.write(json.dumps({"operation": operation, "arguments": arguments}).encode() + b"\n")
            self._process.stdin.flush()
        while True:
            message = self._read_message(operation, deadline, timeout_s)
            if "progress" in message:
                if on_progress is not None:
                    on_progress(message["progress"])
            elif "error" in message:
                error = message["error"]
                raise _ERRORS.get(error["kind"], BentoMonitorError)(error["message"])
            else:
                return message["result"]

    def close(self) -> None:
        """Let the child exit, and kill the remaining processes of its group."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_EXIT_TIMEOUT_S)
        self.kill()
        self._process.stdout.close()

    def kill(self) -> None:
        """Kill the child and every process that it started in its group."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _read_message(self, operation: str, deadline: float, timeout_s: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    self.kill()
                    activity = _ACTIVITIES.get(operation, f"it ran the operation {operation}")
                    raise MeasurementError(
                        f"The process of the service was stopped after {timeout_s:g} s while {activity}."
                    )
                data = os.read(self._process.stdout.fileno(), _READ_BYTES)
                if not data:
                    raise self._death(operation)
                self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    def _death(self, operation: str) -> BentoMonitorError:
        self.kill()
        lines = self._log.read_text(errors="replace").strip().splitlines()
        last = f"; the last line of its output: {lines[-1].strip()[:_LONGEST_LINE]}" if lines else ""
        activity = _ACTIVITIES.get(operation, f"it ran the operation {operation}")
        message = f"The process of the service died while {activity} ({self._ending()}){last}"
        return (ServiceError if operation in _ACTIVITIES else MeasurementError)(message)

    def _ending(self) -> str:
        code = self._process.returncode
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
