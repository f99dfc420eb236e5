"""Running a load in a separate process, so that it takes no time from the calling process."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from ...errors import MeasurementError
from .load_spec import LoadSpec
from .packing import write_bodies
from .result import LoadResult

_START_TIMEOUT_S = 60.0
_STOP_MARGIN_S = 30.0
_LOG_LINES = 5


def run_load(spec: LoadSpec) -> LoadResult:
    """Run a load to its end.

    Raises:
        MeasurementError: nothing listens at the address, or the load's process failed.
    """
    with start_load(spec) as load:
        return load.wait()


def start_load(spec: LoadSpec) -> LoadHandle:
    """Start a load in the background; the load is already being sent when this function returns.

    Raises:
        MeasurementError: nothing listens at the address, or the load's process failed.
    """
    return LoadHandle(spec)


class LoadHandle:
    """A running load; in a `with` statement, its process is gone when the block ends, however the block ends."""

    def __init__(self, spec: LoadSpec) -> None:
        self._spec = spec
        self._result: LoadResult | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="bento-monitor-load-")
        folder = Path(self._folder.name)
        self._log = folder / "log"
        try:
            bodies = spec.bodies if isinstance(spec.bodies, Path) else folder / "bodies.npz"
            if not isinstance(spec.bodies, Path):
                write_bodies(bodies, spec.bodies)
            self._process = self._start(spec.to_json(bodies.resolve()))
        except BaseException:
            self._folder.cleanup()
            raise
        try:
            self._wait_for_start()
        except BaseException:
            self.kill()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def is_running(self) -> bool:
        """Whether requests are still being sent or awaited."""
        return self._process.poll() is None

    def stop(self) -> LoadResult:
        """Plan no more requests, wait for the answers to those that were sent, and return the result.

        Raises:
            MeasurementError: the load's process failed.
        """
        if self._result is None:
            assert self._process.stdin is not None
            self._process.stdin.close()
        return self.wait()

    def wait(self) -> LoadResult:
        """Wait until the load has ended, and return the result.

        Raises:
            MeasurementError: the load's process failed, or did not end in time.
        """
        if self._result is not None:
            return self._result
        try:
            self._process.wait(self._time_limit_s())
            if self._process.returncode != 0:
                raise MeasurementError(f"The load failed: {self._last_log_lines()}")
            self._result = LoadResult.load(Path(self._folder.name))
        except subprocess.TimeoutExpired:
            raise MeasurementError("The load's process did not end in time and was killed.") from None
        finally:
            self.kill()
        return self._result

    def kill(self) -> None:
        """Kill the load's process; do nothing if it has ended."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
        self._folder.cleanup()

    def _start(self, spec: str) -> subprocess.Popen[str]:
        with self._log.open("wb") as log:
            # A session of its own: Ctrl-C reaches only the waiting process, which then ends the load.
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "bento_monitor.lab.loadgen", self._folder.name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # the process itself logs why it ended
            process.stdin.write(spec + "\n")
            process.stdin.flush()
        return process

    def _wait_for_start(self) -> None:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(_START_TIMEOUT_S + self._spec.timeout_s):
                raise MeasurementError("The load's process did not start to send in time.")
        if self._process.stdout.readline() != "started\n":
            self._process.wait()
            raise MeasurementError(self._last_log_lines())

    def _time_limit_s(self) -> float | None:
        assert self._process.stdin is not None
        if self._process.stdin.closed:
            return self._spec.timeout_s + _STOP_MARGIN_S
        if self._spec.duration_s is None:
            return None
        return self._spec.warmup_s + self._spec.duration_s + self._spec.timeout_s + _STOP_MARGIN_S

    def _last_log_lines(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()[-_LOG_LINES:]
        return "\n".join(lines) or f"The load's process ended with exit code {self._process.returncode}."
