"""All studies of a folder, and the artifacts that they share; the disk that they take is bounded."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .study_folder import StudyFolder

_LOCK = "in-use.lock"

ItemKind = Literal["studies", "artifacts"]
# The names that studies and artifacts have here: whatever else lies in such a folder is the user's.
_NAMES: dict[ItemKind, re.Pattern[str]] = {
    "studies": re.compile(r"[0-9a-f]{16}"),
    "artifacts": re.compile(r"[0-9a-f]{64}\.onnx|building-.+"),
}


@dataclass(frozen=True, slots=True)
class StoredItem:
    """A study's folder or an artifact's file, with the disk that it takes and when it was last used."""

    kind: ItemKind
    path: Path
    size_bytes: int
    used_s: float

    @property
    def age_days(self) -> float:
        """How long ago it was last used."""
        return max(0.0, time.time() - self.used_s) / 86400


class StudyStore:
    """The folder of `--study-dir`: a study for each specification, and artifacts, which all studies share."""

    def __init__(self, root: Path) -> None:
        """Use `root`, which need not exist yet."""
        self._root = root.resolve()

    @property
    def crashes(self) -> Path:
        """The file of the candidates that crashed."""
        return self._root / "crashes.json"

    @contextmanager
    def study(self, key: str, limit_bytes: int) -> Iterator[StudyFolder]:
        """Open the folder of a study, locked; first, what was not used for longest is removed down to the limit.

        Nothing is removed while another process uses the store, nor of the study itself.

        Raises:
            StudyInputError: the folder cannot be written to, or another process works on this study.
        """
        folder = StudyFolder(self._root / "studies" / key, self._root / "artifacts")
        with folder.locked(), (self._root / _LOCK).open("a") as lock:
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._trim(limit_bytes, keep=folder.path)
            fcntl.flock(lock, fcntl.LOCK_SH)
            yield folder

    def items(self) -> list[StoredItem]:
        """Return what studies have stored, that first which was not used for longest."""
        found: list[StoredItem] = []
        for kind, name in _NAMES.items():
            for path in (self._root / kind).glob("*"):
                if name.fullmatch(path.name) is None:
                    continue
                with suppress(FileNotFoundError):  # a study that runs has just removed it
                    found.append(StoredItem(kind, path, _size_of(path), _used_s(path)))
        return sorted(found, key=lambda item: item.used_s)

    def _trim(self, limit_bytes: int, keep: Path) -> None:
        items = self.items()
        left = sum(item.size_bytes for item in items)
        for item in items:
            if left <= limit_bytes:
                break
            if item.path != keep:
                shutil.rmtree(item.path) if item.path.is_dir() else item.path.unlink()
                left -= item.size_bytes


def _used_s(path: Path) -> float:
    lock = path / "lock"  # a study's is touched whenever the study is opened
    return (lock if lock.is_file() else path).stat().st_mtime


def _size_of(path: Path) -> int:
    files = [path] if path.is_file() else [Path(folder) / name for folder, _, names in os.walk(path) for name in names]
    return sum(file.lstat().st_size for file in files)
