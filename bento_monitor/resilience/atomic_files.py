"""Atomic file writes: a reader sees the old content or the new, never a part."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from contextlib import suppress
from pathlib import Path

_FULL_DISK = frozenset({errno.ENOSPC, errno.EDQUOT})


def is_disk_full(error: OSError) -> bool:
    """Whether an operation failed because the disk or the user's quota is full."""
    return error.errno in _FULL_DISK


def write_atomic(path: Path, data: bytes | str, *, is_durable: bool = True) -> None:
    """Write `data` to `path` under a temporary name, sync it to disk, and rename it into place.

    With `is_durable=False`, the file is not synced: it survives the process, but perhaps not a crash of the machine.

    Raises:
        OSError: the disk is full or the folder is not writable; `path` is then unchanged.
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
    """Append a line to a file and sync it to disk. The half-written line of a killed writer is ended first.

    Raises:
        OSError: the disk is full or the folder is not writable; the file may then end in half a line.
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
    """Return the SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync_folder(folder: Path) -> None:
    """Sync a folder, so that a rename in it survives a power failure; ignore file systems that cannot sync a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
