"""Where the active state of a service is kept: one file, moved atomically, a copy beside it, and a journal of every
move.

A damaged file never stops a command or a worker: the last good state is in the copy and in the journal, and the next
move writes everything anew.
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
# Gets the state as it stands, the history, the time and the number of the move; gives the state to move to.
Change = Callable[[ActiveState, History, float, int], ActiveState | None]


@dataclass(frozen=True, slots=True)
class Reading:
    """The active state, and what was wrong with the file that holds it; the state is then the last good one."""

    state: ActiveState
    damage: str | None = None


class ActiveStore:
    """What one service serves: workers follow it, `promote` and `rollback` move it."""

    def __init__(self, home: Path, service: str) -> None:
        """Nothing is read or made yet.

        Raises:
            ReleaseError: a service of that name can have no folder.
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
        """The file as it is, by which a follower sees that it was moved; None where there is none or it cannot be
        read.
        """
        try:
            return _read_bounded(self.path)
        except OSError:
            return None

    def read(self) -> Reading:
        """What is active; the service's own models where it was never moved."""
        try:
            text = _read_bounded(self.path).decode()
        except FileNotFoundError:
            last = self._last_good()  # somebody has removed the file, or nothing was ever moved
            return Reading(OWN_MODELS) if last is None else Reading(last, f"{self.path} is gone")
        except (OSError, UnicodeDecodeError) as error:
            return Reading(self._last_good() or OWN_MODELS, f"{self.path} cannot be read ({error})")
        try:
            return Reading(ActiveState.from_raw(json.loads(text)))
        except (ValueError, RecursionError, ReleaseError) as error:
            return Reading(self._last_good() or OWN_MODELS, f"{self.path} is damaged ({str(error)[:200].rstrip('.')})")

    def history(self) -> History:
        """The journal; what of it is damaged is passed over."""
        try:
            lines = self._journal.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        return read_history(lines)

    def move(self, change: Change) -> ActiveState | None:
        """Move to what `change` gives, under the lock; None, and nothing is written, where it gives None.

        Raises:
            OSError: the disk is full; what was active still is.
            ReleaseError: the folder cannot be written; what was active still is.
        """
        with self._locked():
            reading, history = self.read(), self.history()
            workers = live_workers(self.folder)
            state = reading.state
            history.is_servable = _servable_by(workers, state)
            if state.sequence and state.sequence not in history.states:
                history.add(state)  # a mover was killed before it had written this
                self._note_in_journal(state)
            # A worker may have followed a move that nothing tells of any more.
            latest = max([state.sequence, *history.states, *(worker.sequence for worker in workers)])
            new = change(state, history, time.time(), latest + 1)
            if new is None:
                return None
            if reading.damage is not None:
                self._put_damaged_aside()
            write_atomic(self.path, new.to_json() + "\n")
            self._note_move(new)
        return new

    def undo(self, sequence: int, note: str, aside: tuple[str, ...] = ()) -> ActiveState | None:
        """Take the move `sequence` back, if it is still the last one: to what was served before it.

        Args:
            sequence: the move that failed.
            note: why, in a sentence.
            aside: the releases at fault, which no rollback leads back to.
        """

        def change(state: ActiveState, history: History, now_s: float, new: int) -> ActiveState | None:
            if state.sequence != sequence:
                return None
            history.aside.update(dict.fromkeys(aside, note))
            target = history.state_before(state)
            return restored(target, "automatic rollback", now_s, new, note=note, aside=aside, undoes=sequence)

        return self.move(change)

    def note_kept(self, state: ActiveState) -> None:
        """What stands now has served well; written once.

        Raises:
            OSError: the disk is full.
            ReleaseError: the folder cannot be written.
        """
        if state.position in self.history().kept or state.position == 0:
            return
        with self._locked():
            if state.position not in self.history().kept:
                append_line(self._journal, kept_line(state.position))

    def _note_move(self, new: ActiveState) -> None:
        """The copy and the journal's line. The move is made by now: what cannot be written here comes with the next."""
        try:
            write_atomic(self._copy, new.to_json() + "\n")
        except OSError as error:
            _LOGGER.warning("Move %d is made, but not in %s: %s", new.sequence, self._copy, error)
        self._note_in_journal(new)

    def _note_in_journal(self, state: ActiveState) -> None:
        try:
            append_line(self._journal, state.to_json())
        except OSError as error:
            _LOGGER.warning("Move %d is made, but not in %s: %s", state.sequence, self._journal, error)

    def _last_good(self) -> ActiveState | None:
        found = [self.history().last]
        with suppress(OSError, ValueError, RecursionError, ReleaseError):
            found.append(ActiveState.from_raw(json.loads(self._copy.read_text(encoding="utf-8"))))
        return max((state for state in found if state is not None), key=lambda each: each.sequence, default=None)

    def _put_damaged_aside(self) -> None:
        with suppress(OSError):
            self.path.replace(self.path.with_name("active.damaged.json"))
            _LOGGER.warning("%s was damaged: it is written anew, the damaged file is kept beside it.", self.path)

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
    """What is in a file, or so much of it that it is no state any more: a file is read five times a second."""
    with path.open("rb") as file:
        return file.read(_MAX_STATE_BYTES)


def _servable_by(workers: Sequence[WorkerState], present: ActiveState) -> Callable[[ActiveState], bool]:
    """Whether the workers that run may serve a state: their models are those that its releases were made from.

    A worker whose models are not known yet may. What workers refuse of the present state already keeps them from no
    other state that has it too.
    """
    models = models_of(workers)

    def is_servable(state: ActiveState) -> bool:
        return all(
            active.model in models.get(runner, {active.model}) or present.releases.get(runner) == active.release
            for runner, active in state.runners.items()
        )

    return is_servable
