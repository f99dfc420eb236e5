"""The active release of a service: a pointer that is moved atomically, and a journal of every move."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import ReleaseError
from ..files import write_atomic


@dataclass(frozen=True, slots=True)
class Move:
    """One position of the pointer. `release` and `folder` are None where the service runs its own model."""

    sequence: int
    release: str | None
    folder: str | None
    moved_at_s: float
    reason: str


class Pointer:
    """Which release of one service is active; workers follow it, `promote` and `rollback` move it."""

    def __init__(self, home: Path, service: str) -> None:
        self.folder = home / "services" / service
        self._path = self.folder / "active.json"
        self._journal = self.folder / "journal.jsonl"

    def signature(self) -> tuple[int, int] | None:
        """A cheap value that changes when the pointer is moved; None while it never was."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return None
        return status.st_mtime_ns, status.st_ino

    def read(self) -> Move:
        """Where the pointer stands; sequence 0 and the service's own model if it was never moved.

        Raises:
            ReleaseError: the file is damaged.
        """
        try:
            text = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return Move(0, None, None, 0.0, "never moved")
        try:
            return Move(**json.loads(text))
        except (ValueError, TypeError) as error:
            raise ReleaseError(f"{self._path} is damaged ({error}): promote a release to write it anew.") from error

    def move(self, release: str | None, folder: Path | None, reason: str) -> Move:
        """Move the pointer, and add the move to the journal."""
        with self._locked():
            position = Move(
                sequence=self.read().sequence + 1,
                release=release,
                folder=str(folder) if folder is not None else None,
                moved_at_s=time.time(),
                reason=reason,
            )
            with self._journal.open("a", encoding="utf-8") as journal:
                journal.write(json.dumps(asdict(position)) + "\n")
                journal.flush()
                os.fsync(journal.fileno())
            write_atomic(self._path, json.dumps(asdict(position), indent=2) + "\n")
        return position

    def journal(self) -> list[Move]:
        """Every move, the oldest first."""
        try:
            lines = self._journal.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        return [Move(**json.loads(line)) for line in lines if line.strip()]

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
