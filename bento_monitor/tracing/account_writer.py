"""Keeps a process's account on disk, from a thread of its own: an exporter that hangs does not make it old."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from ..liveness import process_identity
from ..sparse_log import OutageLog
from .account import Account, remove_old_accounts, write_account
from .stats import PipelineStats

_INTERVAL_S = 0.5
_LOGGER = logging.getLogger("bento_monitor")


class AccountWriter:
    """Writes the account at most twice a second while it changes, and at the end."""

    def __init__(self, home: Path, service: str) -> None:
        self._home = home
        self._service = service
        self._outages = OutageLog(
            _LOGGER, "The account of spans cannot be written to %s (%s); nothing else is affected."
        )
        self.reset()

    def reset(self) -> None:
        """Begin anew, as a forked child must."""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, read: Callable[[], PipelineStats]) -> None:
        """Write what `read` gives, from now on."""
        thread = threading.Thread(target=self._run, args=(read,), name="bento-monitor-account", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # there is no room for a thread, and so no account
            return
        self._thread = thread

    def stop(self, timeout_s: float) -> None:
        """Write it for the last time. A disk that hangs is not waited for longer than `timeout_s`."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self, read: Callable[[], PipelineStats]) -> None:
        pid = os.getpid()
        identity, started_at_s = process_identity(pid), time.time()
        written: tuple[PipelineStats, bool] | None = None
        is_stopped = False
        while not is_stopped:
            is_stopped = self._stop.wait(0.0 if written is None else _INTERVAL_S)
            latest = read(), is_stopped
            if latest != written:
                account = Account(self._service, pid, identity, started_at_s, time.time(), is_stopped, latest[0])
                self._write(account, is_first=written is None)
                written = latest

    def _write(self, account: Account, *, is_first: bool) -> None:
        try:
            write_account(self._home, account)
            if is_first:
                remove_old_accounts(self._home)
            self._outages.worked()
        except OSError as error:
            self._outages.failed(self._home, error)
