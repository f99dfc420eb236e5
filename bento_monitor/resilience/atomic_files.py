"""Writing files whole: a reader sees the old content or the new, never a part."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from contextlib import suppress
from pathlib import Path

_FULL_DISK = frozenset({errno.ENOSPC, errno.EDQUOT})


def is_disk_full(error: OSError) -> bool:
    """Whether an operation failed for want of room, on the disk or in the user's share of it."""
    return error.errno in _FULL_DISK


def write_atomic(path: Path, data: bytes | str, *, is_durable: bool = True) -> None:
    """Write `data` to `path` under a temporary name, sync it to disk, and rename it into place.

    What is not durable is not synced: it outlives the process, and need not outlive the machine.

    Raises:
        OSError: the disk is full or the folder cannot be written; nothing of `path` has changed then.
    """
    raw = data.encode() if isinstance(data, str) else data
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(raw)
            file.flush()
            if is_durable:
                os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    if is_durable:
        _sync_folder(path.parent)


def append_line(path: Path, line: str) -> None:
    """Add a line to a file and sync it to disk. What a writer that was killed left half-written ends there.

    Raises:
        OSError: the disk is full or the folder cannot be written; the file may then end in half a line.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                line = "\n" + line
        file.write(line.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync_folder(folder: Path) -> None:
    """Make a rename outlive the machine's power; some file systems cannot, and do it by themselves."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
