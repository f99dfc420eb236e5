"""Reports the state of a worker: kept in memory, and written to its file for other processes."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..resilience.liveness import process_identity
from ..resilience.rate_limited_log import OutageLog
from .worker_state import WorkerState, is_written, remove_worker_state, write_worker_state

_LOGGER = logging.getLogger("bento_monitor")


class Reporter:
    """State of this process as a worker. A full disk does not stop the worker: the state is written later."""

    def __init__(self, service_folder: Path) -> None:
        self._folder = service_folder
        self._is_written = False
        self._outages = OutageLog(
            _LOGGER, "The state of this worker cannot be written to %s (%s): promote and status do not see the worker."
        )
        pid, server_pid = os.getpid(), os.getppid()
        self.state = WorkerState(
            pid=pid,
            identity=process_identity(pid),
            server_pid=server_pid,
            server_identity=process_identity(server_pid),
            sequence=0,
            phase="serving",
        )

    def report(self, **changes: Any) -> None:
        """Change fields of the state, and write it."""
        self.state = replace(self.state, **changes)
        try:
            write_worker_state(self._folder, self.state)
            self._is_written = True
            self._outages.worked()
        except OSError as error:
            self._is_written = False
            self._outages.failed(self._folder, error)

    def catch_up(self) -> None:
        """Write the state if the last write failed or the file is gone."""
        if not (self._is_written and is_written(self._folder, self.state)):
            self.report()

    def remove(self) -> None:
        """Remove the state file, so that the worker is no longer counted."""
        remove_worker_state(self._folder, self.state)
