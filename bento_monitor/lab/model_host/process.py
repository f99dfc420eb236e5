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
from typing import Any, Literal

from ...errors import BentoMonitorError, InputError, MeasurementError, ReleaseError, ServiceError
from ...machine import over_limit, resident_bytes

_ERRORS: dict[str, type[BentoMonitorError]] = {
    error.__name__: error for error in (BentoMonitorError, InputError, ServiceError, ReleaseError, MeasurementError)
}
# Operations that run only the user's code, so the input causes their failures.
_ACTIVITIES = {"describe": "it imported the service", "answer": "the API answered the first sample"}
_LONGEST_LINE = 300
_EXIT_TIMEOUT_S = 2.0
_READ_BYTES = 2**16
_MEMORY_CHECK_S = 0.5

HostFault = Literal["crash", "hang", "memory"]


class HostDeathError(MeasurementError):
    """The child died, or was killed because it took too long or too much memory."""

    def __init__(self, message: str, fault: HostFault) -> None:
        super().__init__(message)
        self.fault: HostFault = fault


class HostProcess:
    """The child and the pipe to it; its stdout and stderr go to `log`.

    A child whose resident memory exceeds `memory_limit_bytes` is killed; None means no limit.
    """

    def __init__(
        self,
        target: str,
        working_dir: Path,
        env: Mapping[str, str] | None,
        log: Path,
        memory_limit_bytes: int | None = None,
    ) -> None:
        self._log = log
        self._memory_limit_bytes = memory_limit_bytes
        self._next_memory_check_s = 0.0
        with log.open("ab") as stderr:  # a restarted child adds to the output of the one that died
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
            HostDeathError: the child died later, or was killed because it took longer than `timeout_s` or more memory
                than its limit.
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
                if time.monotonic() >= self._next_memory_check_s:  # also while progress is reported all the time
                    self._require_memory(operation)
                    self._next_memory_check_s = time.monotonic() + _MEMORY_CHECK_S
                left_s = max(0.0, deadline - time.monotonic())
                if not selector.select(min(left_s, _MEMORY_CHECK_S)):
                    if left_s <= _MEMORY_CHECK_S:
                        self.kill()
                        raise HostDeathError(
                            f"The process of the service was stopped after {timeout_s:g} s while "
                            f"{_activity(operation)}.",
                            "hang",
                        )
                    continue
                data = os.read(self._process.stdout.fileno(), _READ_BYTES)
                if not data:
                    raise self._death(operation)
                self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    def _require_memory(self, operation: str) -> None:
        limit = self._memory_limit_bytes
        used = None if limit is None else resident_bytes(self._process.pid)
        if limit is not None and used is not None and used > limit:
            self.kill()
            raise HostDeathError(
                f"The process of the service was stopped because it {over_limit(used, limit)}, while "
                f"{_activity(operation)}.",
                "memory",
            )

    def _death(self, operation: str) -> BentoMonitorError:
        self.kill()
        lines = self._log.read_text(errors="replace").strip().splitlines()
        last = f"; the last line of its output: {lines[-1].strip()[:_LONGEST_LINE]}" if lines else ""
        message = f"The process of the service died while {_activity(operation)} ({self._ending()}){last}"
        if operation in _ACTIVITIES:
            return ServiceError(message)
        # Nothing but the system kills the child so, when no memory is left.
        return HostDeathError(message, "memory" if self._process.returncode == -signal.SIGKILL else "crash")

    def _ending(self) -> str:
        code = self._process.returncode
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _activity(operation: str) -> str:
    return _ACTIVITIES.get(operation, f"it ran the operation {operation}")
