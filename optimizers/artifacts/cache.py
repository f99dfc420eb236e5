"""A folder of built files, each named by the hash of its inputs; files appear atomically."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

_BUILDING = "building-"
_SUFFIX = ".onnx"


class ArtifactCache:
    """Built files by key. A killed builder leaves only a temporary folder, which the next cache removes."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`, created if it does not exist, and remove incomplete builds of dead processes."""
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(f"{_BUILDING}*"):
            if not _is_alive(int(leftover.name.removeprefix(_BUILDING).partition("-")[0])):
                shutil.rmtree(leftover, ignore_errors=True)

    def get(self, key: str) -> Path | None:
        """Return the file of a key, or None if it is not built."""
        path = self._folder / f"{key}{_SUFFIX}"
        try:
            os.utime(path)  # files that are not used for long are removed first
        except FileNotFoundError:
            return None
        return path

    def get_or_build(self, key: str, build: Callable[[Path], None]) -> Path:
        """Return the file of a key; if it does not exist, `build` writes it in a temporary folder first.

        Raises:
            OSError: the disk is full or the folder cannot be written.
        """
        cached = self.get(key)
        if cached is not None:
            return cached
        build_folder = Path(tempfile.mkdtemp(prefix=f"{_BUILDING}{os.getpid()}-", dir=self._folder))
        try:
            built = build_folder / f"{key}{_SUFFIX}"
            build(built)
            with built.open("rb") as file:
                os.fsync(file.fileno())
            return built.replace(self._folder / built.name)
        finally:
            shutil.rmtree(build_folder, ignore_errors=True)

    def discard(self, key: str) -> None:
        """Remove the file of a key."""
        (self._folder / f"{key}{_SUFFIX}").unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
