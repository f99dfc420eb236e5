"""The store of a service's active state: one file that is replaced atomically, a copy, and a journal of all changes.

A damaged file never stops a command or a worker: the last good state is in the copy and in the journal, and the next
change rewrites all files.
"""

from __future__ import annotations

import fcntl
import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from ..errors import ReleaseError
from ..resilience.atomic_files import append_line, is_disk_full, write_atomic
from .active_state import OWN_MODELS, ActiveState, restored
from .history import History, kept_line, read_history
from .release_bounds import check_service_name
from .worker_state import WorkerState, live_workers, models_of

_LOGGER = logging.getLogger("bento_monitor")
_MAX_STATE_BYTES = 4 * 2**20
# Takes the current state, the history, the time and the number of the change; returns the next state.
Change = Callable[[ActiveState, History, float, int], ActiveState | None]


@dataclass(frozen=True, slots=True)
class StateReading:
    """The active state. If its file is damaged, `damage` says how, and `state` is the last good state."""

    state: ActiveState
    damage: str | None = None


class ActiveStore:
    """The active state of one service: workers follow it, `promote` and `rollback` change it."""

    def __init__(self, home: Path, service: str) -> None:
        """Create the store object; no file is read or created.

        Raises:
            ReleaseError: the service name cannot be used as the name of a folder.
        """
        try:
            check_service_name(service)
        except ValueError as error:
            raise ReleaseError(f"{error}.", "service") from error
        self.service = service
        self.folder = home / "services" / quote(service, safe=" ")
        self.path = self.folder / "active.json"
        self._copy = self.folder / "active.last-good.json"
        self._journal = self.folder / "journal.jsonl"

    def content(self) -> bytes | None:
        """Return the bytes of the file, which show a change; None if it is missing or unreadable."""
        try:
            return _read_bounded(self.path)
        except OSError:
            return None

    def read(self) -> StateReading:
        """Read the active state; the own models if it was never changed."""
        try:
            text = _read_bounded(self.path).decode()
        except FileNotFoundError:
            last = self._last_good()  # the file was removed, or there never was a change
            return StateReading(OWN_MODELS) if last is None else StateReading(last, f"{self.path} is missing")
        except (OSError, UnicodeDecodeError) as error:
            return StateReading(self._last_good() or OWN_MODELS, f"{self.path} cannot be read ({error})")
        try:
            return StateReading(ActiveState.from_raw(json.loads(text)))
        except (ValueError, RecursionError, ReleaseError) as error:
            return StateReading(
                self._last_good() or OWN_MODELS, f"{self.path} is damaged ({str(error)[:200].rstrip('.')})"
            )

    def history(self) -> History:
        """Read the journal; damaged lines are skipped."""
        try:
            lines = self._journal.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        return read_history(lines)

    def move(self, change: Change) -> ActiveState | None:
        """Activate the state that `change` returns, under the lock.

        If `change` returns None, nothing is written, and the result is None.

        Raises:
            OSError: the disk is full; the active state is unchanged.
            ReleaseError: the folder cannot be written; the active state is unchanged.
        """
        with self._locked():
            reading, history = self.read(), self.history()
            workers = live_workers(self.folder)
            state = reading.state
            history.is_servable = _servable_by(workers, state)
            if state.sequence and state.sequence not in history.states:
                history.add(state)  # the process that made this change was killed before it wrote the journal
                self._note_in_journal(state)
            # A worker may have followed a change of which no file is left.
            latest = max([state.sequence, *history.states, *(worker.sequence for worker in workers)])
            new = change(state, history, time.time(), latest + 1)
            if new is None:
                return None
            if reading.damage is not None:
                self._keep_damaged_file()
            write_atomic(self.path, new.to_json() + "\n")
            self._write_copies(new)
        return new

    def undo(self, sequence: int, note: str, aside: tuple[str, ...] = ()) -> ActiveState | None:
        """Revert the change `sequence` to the state before it, if it is still the latest change.

        Args:
            sequence: number of the failed change.
            note: the reason, as a sentence.
            aside: the releases that caused the failure; they are put aside, and no rollback returns to them.
        """

        def change(state: ActiveState, history: History, now_s: float, new: int) -> ActiveState | None:
            if state.sequence != sequence:
                return None
            history.aside.update(dict.fromkeys(aside, note))
            target = history.state_before(state)
            return restored(target, "automatic rollback", now_s, new, note=note, aside=aside, undoes=sequence)

        return self.move(change)

    def note_kept(self, state: ActiveState) -> None:
        """Note in the journal, once, that a state has served well.

        Raises:
            OSError: the disk is full.
            ReleaseError: the folder cannot be written.
        """
        if state.position in self.history().kept or state.position == 0:
            return
        with self._locked():
            if state.position not in self.history().kept:
                append_line(self._journal, kept_line(state.position))

    def _write_copies(self, new: ActiveState) -> None:
        """Write the copy and the journal. The change is active already; the next change repeats failed writes."""
        try:
            write_atomic(self._copy, new.to_json() + "\n")
        except OSError as error:
            _LOGGER.warning("Change %d is active, but not written to %s: %s", new.sequence, self._copy, error)
        self._note_in_journal(new)

    def _note_in_journal(self, state: ActiveState) -> None:
        try:
            append_line(self._journal, state.to_json())
        except OSError as error:
            _LOGGER.warning("Change %d is active, but not written to %s: %s", state.sequence, self._journal, error)

    def _last_good(self) -> ActiveState | None:
        found = [self.history().last]
        with suppress(OSError, ValueError, RecursionError, ReleaseError):
            found.append(ActiveState.from_raw(json.loads(self._copy.read_text(encoding="utf-8"))))
        return max((state for state in found if state is not None), key=lambda each: each.sequence, default=None)

    def _keep_damaged_file(self) -> None:
        with suppress(OSError):
            self.path.replace(self.path.with_name("active.damaged.json"))
            _LOGGER.warning("%s was damaged and is rewritten; the damaged file is kept beside it.", self.path)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / "lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            if is_disk_full(error):
                raise
            raise ReleaseError(
                f"{self.folder} cannot be written ({error}): check BENTO_MONITOR_HOME and its permissions.", "store"
            ) from error


def _read_bounded(path: Path) -> bytes:
    """Read a file, but at most 4 MiB, more than any valid state has: the file is read five times per second."""
    with path.open("rb") as file:
        return file.read(_MAX_STATE_BYTES)


def _servable_by(workers: Sequence[WorkerState], current: ActiveState) -> Callable[[ActiveState], bool]:
    """Return a function that tells whether the running workers may serve a state.

    They may if its releases were made from their models. Workers whose models are unknown may serve every state. A
    release that is active now never excludes a state, even if workers refuse it.
    """
    models = models_of(workers)

    def is_servable(state: ActiveState) -> bool:
        return all(
            active.model in models.get(runner, {active.model}) or current.releases.get(runner) == active.release
            for runner, active in state.runners.items()
        )

    return is_servable
