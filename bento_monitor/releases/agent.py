"""In every worker: follows the pointer to the active release, loads it beside the running one, and swaps."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ..errors import BentoMonitorError, ReleaseError
from ..liveness import process_started_at_s
from .pointer import Move, Pointer
from .record import Release
from .store import read_release
from .worker_state import WorkerState, remove_worker_state, write_worker_state

_LOGGER = logging.getLogger("bento_monitor")

TakeOver = Callable[[Release | None, Path | None], None]


class ReleaseAgent:
    """A thread that makes a worker serve what the pointer names. A release that cannot be taken changes nothing."""

    def __init__(
        self,
        pointer: Pointer,
        take_over: TakeOver,
        count_failures: Callable[[], int] = lambda: 0,
        *,
        poll_interval_s: float,
        probation_s: float = 0.0,
    ) -> None:
        """Make an agent; nothing runs before `start`.

        Args:
            pointer: the service's pointer.
            take_over: loads a release (None: the service's own model) and swaps to it; raises if it cannot.
            count_failures: how many calls of a release have failed so far.
            poll_interval_s: how often the pointer is looked at.
            probation_s: how long a release that is promoted is watched; one call that it fails, and the worker goes
                back to what it served before.
        """
        self._pointer = pointer
        self._take_over = take_over
        self._count_failures = count_failures
        self._poll_interval_s = poll_interval_s
        self._probation_s = probation_s
        self._served: tuple[Release | None, Path | None] = (None, None)
        self._stop = threading.Event()
        self._signature: tuple[int, int] | None = None
        self._thread: threading.Thread | None = None
        pid = os.getpid()
        self.state = WorkerState(
            pid=pid,
            server_pid=os.getppid(),
            started_at_s=process_started_at_s(pid),
            sequence=0,
            release=None,
            phase="serving",
        )

    def start(self) -> None:
        """Take the active release, in the caller's thread, then follow the pointer in a thread of its own."""
        self._follow_if_moved()
        self._report(self.state)
        self._thread = threading.Thread(target=self._run, name="bento-monitor-releases", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop following; the worker is no longer counted."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=1.0)
        remove_worker_state(self._pointer.folder, self.state.pid)

    def _run(self) -> None:
        while not self._stop.wait(self._poll_interval_s):
            try:
                self._follow_if_moved()
            except Exception:  # the thread must outlive a full disk or a damaged pointer
                _LOGGER.exception("The active release cannot be read; the worker goes on with what it serves.")

    def _follow_if_moved(self) -> None:
        signature = self._pointer.signature()
        if signature == self._signature:
            return
        self._signature = signature
        move = self._pointer.read()
        if move.sequence != self.state.sequence:
            self._follow(move)

    def _follow(self, move: Move) -> None:
        started_s = time.monotonic()
        before = self.state
        self._report(replace(before, sequence=move.sequence, phase="loading", error=None))
        try:
            folder = Path(move.folder) if move.folder is not None else None
            release = self._read(move, folder)
            failures = self._count_failures()
            self._take_over(release, folder)
            swap_ms = (time.monotonic() - started_s) * 1e3
            self._report(replace(self.state, release=move.release, swap_ms=swap_ms, phase="probation"))
            if move.reason == "promote" and self._thread is not None:  # at its start a worker has no incumbent
                self._watch(release, failures)
        except Exception as error:  # whatever a model's loading raises, the incumbent goes on
            message = str(error) if isinstance(error, BentoMonitorError) else f"{type(error).__name__}: {error}"
            _LOGGER.warning("Release %s is not taken over: %s", move.release, message)
            self._report(replace(self.state, release=before.release, phase="failed", error=message))
            return
        self._served = (release, folder)
        _LOGGER.info("Serving %s (swapped in %.0f ms).", move.release or "the service's own model", swap_ms)
        self._report(replace(self.state, phase="serving"))

    def _watch(self, release: Release | None, failures: int) -> None:
        """Watch a release that has just begun to serve, until its probation is over or the pointer moves on."""
        deadline_s = time.monotonic() + self._probation_s
        while release is not None:
            failed = self._count_failures() - failures
            if failed:
                self._take_over(*self._served)
                raise ReleaseError(f"Release {release.name} failed {failed} call(s) in its first seconds.")
            is_over = time.monotonic() >= deadline_s or self._pointer.signature() != self._signature
            if is_over or self._stop.wait(min(self._poll_interval_s, self._probation_s)):
                return

    def _read(self, move: Move, folder: Path | None) -> Release | None:
        if move.release is None or folder is None:
            return None
        release = read_release(folder)
        if release.name != move.release:
            raise ReleaseError(f"{folder} holds release {release.name}, the pointer names {move.release}.")
        return release

    def _report(self, state: WorkerState) -> None:
        self.state = state
        write_worker_state(self._pointer.folder, state)
