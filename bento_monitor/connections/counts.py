"""The number of connections of each worker, in a small file shared by the workers of one listening socket.

A worker holds a lock on its slot while it lives. The kernel releases the lock with the process, so a slot whose lock is
free belongs to a dead worker, however it died. POSIX locks belong to a process, so a process may have only one
`ConnectionCounts` per socket.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

_MAX_WORKERS = 256
# The file holds 32-bit numbers: slots used so far, padding, then process id, connections and accepted of each slot.
_HEADER = 4
_FIELDS = 3
_PID, _CONNECTIONS, _ACCEPTED = range(_FIELDS)
_NUMBER_BYTES = 4
_SLOT_BYTES = _FIELDS * _NUMBER_BYTES
_FILE_BYTES = _HEADER * _NUMBER_BYTES + _MAX_WORKERS * _SLOT_BYTES
# Locked while a process claims a slot, and, as part of the whole file, while a process removes the file.
_ENTRY = (1, 0)
_WHOLE_FILE = (0, 0)
_SUFFIX = ".connections"


@dataclass(frozen=True, slots=True)
class OtherWorker:
    """Another worker: the number of its connections, and a counter that changes with each accepted connection."""

    slot: int
    connections: int
    accepted: int


def counts_folder() -> Path:
    """Return this user's private folder for these files, and create it if needed.

    Raises:
        OSError: the folder belongs to another user, or others have access to it.
    """
    folder = Path(tempfile.gettempdir()) / f"bento-monitor-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not folder.is_dir() or folder.is_symlink() or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(f"{folder} must be a folder that only this user can access: remove it.")
    return folder


class ConnectionCounts:
    """The slot of this worker, and a view of the slots of other workers."""

    def __init__(self, folder: Path, socket_inode: int) -> None:
        """Claim a slot in the file of the socket with this inode.

        Raises:
            OSError: the file cannot be created, or has no free slot.
        """
        self._path = folder / f"{socket_inode}{_SUFFIX}"
        _remove_unused(folder, except_=self._path)
        self._file = _open_and_lock(self._path)
        try:
            os.ftruncate(self._file, _FILE_BYTES)
            self._map = mmap.mmap(self._file, _FILE_BYTES)
            self._numbers = memoryview(self._map).cast("I")
            self._slot = self._claim()
        except BaseException:
            os.close(self._file)
            raise
        fcntl.lockf(self._file, fcntl.LOCK_UN, *_ENTRY)
        self._is_open = True

    def publish(self, connections: int) -> None:
        """Publish the number of this worker's connections."""
        if self._is_open:
            self._numbers[_at(self._slot, _CONNECTIONS)] = connections

    def note_accepted(self) -> None:
        """Count one more accepted connection of this worker."""
        if self._is_open:
            place = _at(self._slot, _ACCEPTED)
            self._numbers[place] = (self._numbers[place] + 1) & 0xFFFFFFFF

    def others(self) -> list[OtherWorker]:
        """Return the other workers. A killed worker is included until `forget_dead` is called for its slot."""
        numbers = self._numbers
        return [
            OtherWorker(slot, numbers[_at(slot, _CONNECTIONS)], numbers[_at(slot, _ACCEPTED)])
            for slot in range(numbers[0])
            if slot != self._slot and numbers[_at(slot, _PID)]
        ]

    def forget_dead(self, slot: int) -> bool:
        """Return whether the worker of a slot is dead; if so, free the slot."""
        if not _try_lock(self._file, *_span(slot)):
            return False
        self._numbers[_at(slot, _PID)] = 0
        fcntl.lockf(self._file, fcntl.LOCK_UN, *_span(slot))
        return True

    def close(self) -> None:
        """Free the slot. The last worker removes the file."""
        if not self._is_open:
            return
        self._is_open = False
        self._numbers[_at(self._slot, _PID)] = 0
        self._numbers.release()
        self._map.close()
        fcntl.lockf(self._file, fcntl.LOCK_UN, *_span(self._slot))
        if _try_lock(self._file, *_WHOLE_FILE):
            self._path.unlink(missing_ok=True)
        os.close(self._file)

    def _claim(self) -> int:
        numbers = self._numbers
        for slot in range(_MAX_WORKERS):
            if _try_lock(self._file, *_span(slot)):
                numbers[_at(slot, _CONNECTIONS)] = 0
                # Incremented, not set to 0: workers that gave up on the last owner see a new one.
                numbers[_at(slot, _ACCEPTED)] = (numbers[_at(slot, _ACCEPTED)] + 1) & 0xFFFFFFFF
                numbers[_at(slot, _PID)] = os.getpid()
                numbers[0] = max(numbers[0], slot + 1)
                return slot
        raise OSError(f"{self._path} has no slot left: {_MAX_WORKERS} workers accept from this socket.")


def _at(slot: int, field: int) -> int:
    return _HEADER + slot * _FIELDS + field


def _span(slot: int) -> tuple[int, int]:
    return _SLOT_BYTES, _at(slot, 0) * _NUMBER_BYTES


def _try_lock(file: int, length: int, start: int) -> bool:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, length, start)
    except OSError:
        return False
    return True


def _open_and_lock(path: Path) -> int:
    """Open the file and lock its entry; retry if the file was removed in between."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.lockf(file, fcntl.LOCK_EX, *_ENTRY)
            if path.exists() and os.fstat(file).st_ino == path.stat().st_ino:
                return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _remove_unused(folder: Path, *, except_: Path) -> None:
    for path in folder.glob(f"*{_SUFFIX}"):
        # Skip the own file: closing any descriptor of a file releases all locks that this process has on it.
        if path == except_:
            continue
        try:
            file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        if _try_lock(file, *_WHOLE_FILE):
            path.unlink(missing_ok=True)
        os.close(file)
