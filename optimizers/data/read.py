"""Reading the user's data in any of the supported formats."""

from __future__ import annotations

import hashlib
from pathlib import Path

from bento_monitor.resilience.atomic_files import sha256_of

from ..errors import StudyInputError
from ._base import DataFile
from .folder import read_folder
from .jsonl import read_jsonl
from .npz import read_npz


def read_data(path: Path) -> DataFile:
    """Read a `.npz` file, a `.jsonl` file, or a folder of files with `labels.csv`.

    Raises:
        StudyInputError: the path is none of these, or the data cannot be used.
    """
    if path.is_dir():
        return read_folder(path)
    if not path.is_file():
        raise StudyInputError(
            f"The data file {path} does not exist: give a .npz file, a .jsonl file, or a folder of files with "
            "labels.csv."
        )
    return read_jsonl(path) if path.suffix in (".jsonl", ".ndjson") else read_npz(path)


def data_digest(path: Path) -> str:
    """Return a hash of a data file, or of the names and contents of all files of a folder.

    Raises:
        StudyInputError: a file cannot be read.
    """
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    digest = hashlib.sha256()
    try:
        for file in files:
            digest.update(f"{file.relative_to(path)} {sha256_of(file)}\n".encode())
    except OSError as error:
        raise StudyInputError(f"{error.filename} cannot be read: {error.strerror}.") from error
    return digest.hexdigest()
