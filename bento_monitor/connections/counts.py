"""How many connections each worker holds: a small file that the workers of one listening socket have in common.

A worker holds a lock on its slot for as long as it lives. The kernel lets go of it with the process, so that a slot
whose lock can be had is a dead worker's, however it died. POSIX locks belong to a process: one `ConnectionCounts` of a
socket a process.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

_MAX_WORKERS = 256
# Of 32-bit numbers: how many slots were ever used, padding, then process id, connections and accepted of each slot.
_HEADER = 4
_FIELDS = 3
_PID, _CONNECTIONS, _ACCEPTED = range(_FIELDS)
_NUMBER_BYTES = 4
_SLOT_BYTES = _FIELDS * _NUMBER_BYTES
_FILE_BYTES = _HEADER * _NUMBER_BYTES + _MAX_WORKERS * _SLOT_BYTES
# Locked by whoever looks for a slot, and with the whole file by whoever removes it.
_DOOR = (1, 0)
_WHOLE = (0, 0)
_SUFFIX = ".connections"


@dataclass(frozen=True, slots=True)
class OtherWorker:
    """Another worker: the connections that it holds now, and a number that moves with each one that it accepts."""

    slot: int
    connections: int
    accepted: int


def counts_folder() -> Path:
    """This user's own folder for such files, made where it is not there.

    Raises:
        OSError: the folder is somebody else's, or others can write to it.
    """
    folder = Path(tempfile.gettempdir()) / f"bento-monitor-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not folder.is_dir() or folder.is_symlink() or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(f"{folder} must be a folder that is this user's alone: remove it.")
    return folder


class ConnectionCounts:
    """This worker's slot, and a view of the others'."""

    def __init__(self, folder: Path, socket_inode: int) -> None:
        """Take a slot among the workers that accept from the socket of this inode.

        Raises:
            OSError: the file cannot be made, or has no slot left.
        """
        self._path = folder / f"{socket_inode}{_SUFFIX}"
        _remove_unused(folder, except_=self._path)
        self._file = _open_and_enter(self._path)
        try:
            os.ftruncate(self._file, _FILE_BYTES)
            self._map = mmap.mmap(self._file, _FILE_BYTES)
            self._numbers = memoryview(self._map).cast("I")
            self._slot = self._claim()
        except BaseException:
            os.close(self._file)
            raise
        fcntl.lockf(self._file, fcntl.LOCK_UN, *_DOOR)
        self._is_open = True

    def publish(self, connections: int) -> None:
        """Say how many connections this worker holds."""
        if self._is_open:
            self._numbers[_at(self._slot, _CONNECTIONS)] = connections

    def note_accepted(self) -> None:
        """Say that this worker has accepted one more."""
        if self._is_open:
            place = _at(self._slot, _ACCEPTED)
            self._numbers[place] = (self._numbers[place] + 1) & 0xFFFFFFFF

    def others(self) -> list[OtherWorker]:
        """The other workers; one that was killed is among them until `forget_dead` is asked about it."""
        numbers = self._numbers
        return [
            OtherWorker(slot, numbers[_at(slot, _CONNECTIONS)], numbers[_at(slot, _ACCEPTED)])
            for slot in range(numbers[0])
            if slot != self._slot and numbers[_at(slot, _PID)]
        ]

    def forget_dead(self, slot: int) -> bool:
        """Whether the worker of a slot is dead; the slot is then free."""
        if not _try_lock(self._file, *_span(slot)):
            return False
        self._numbers[_at(slot, _PID)] = 0
        fcntl.lockf(self._file, fcntl.LOCK_UN, *_span(slot))
        return True

    def close(self) -> None:
        """Give the slot back, and remove the file with the last one."""
        if not self._is_open:
            return
        self._is_open = False
        self._numbers[_at(self._slot, _PID)] = 0
        self._numbers.release()
        self._map.close()
        fcntl.lockf(self._file, fcntl.LOCK_UN, *_span(self._slot))
        if _try_lock(self._file, *_WHOLE):
            self._path.unlink(missing_ok=True)
        os.close(self._file)

    def _claim(self) -> int:
        numbers = self._numbers
        for slot in range(_MAX_WORKERS):
            if _try_lock(self._file, *_span(slot)):
                numbers[_at(slot, _CONNECTIONS)] = 0
                # Moved on and not set to 0: whoever gave the last owner up sees that this is another.
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


def _open_and_enter(path: Path) -> int:
    """Open the file of that name with its door locked; again, where it was removed in between."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.lockf(file, fcntl.LOCK_EX, *_DOOR)
            if path.exists() and os.fstat(file).st_ino == path.stat().st_ino:
                return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _remove_unused(folder: Path, *, except_: Path) -> None:
    for path in folder.glob(f"*{_SUFFIX}"):
        # Never our own: to close any descriptor of a file gives up all the locks that this process has on it.
        if path == except_:
            continue
        try:
            file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        if _try_lock(file, *_WHOLE):
            path.unlink(missing_ok=True)
        os.close(file)
