"""What a worker says of itself: kept in memory, and written for others as soon as it can be."""

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
    """The state of this process as a worker. A disk that is full keeps nobody from serving: it is written later."""

    def __init__(self, service_folder: Path) -> None:
        self._folder = service_folder
        self._is_written = False
        self._outages = OutageLog(
            _LOGGER, "What this worker serves cannot be written to %s (%s): promote and status do not see it."
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
        """Change some fields of the state, and write it."""
        self.state = replace(self.state, **changes)
        try:
            write_worker_state(self._folder, self.state)
            self._is_written = True
            self._outages.worked()
        except OSError as error:
            self._is_written = False
            self._outages.failed(self._folder, error)

    def catch_up(self) -> None:
        """Write what could not be written before, or is no longer there."""
        if not (self._is_written and is_written(self._folder, self.state)):
            self.report()

    def remove(self) -> None:
        """The worker is no longer counted."""
        remove_worker_state(self._folder, self.state)
