"""A folder of built files, each named by the hash of what it is made of; a file is there whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

_BUILDING = "building-"
_SUFFIX = ".onnx"


class ArtifactCache:
    """Built files by key. A builder that is killed leaves only a folder that the next cache removes."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`, made if it is not there, and remove what dead processes left half-built in it."""
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(f"{_BUILDING}*"):
            if not _is_alive(int(leftover.name.removeprefix(_BUILDING).partition("-")[0])):
                shutil.rmtree(leftover, ignore_errors=True)

    def get(self, key: str) -> Path | None:
        """The file of that key, if it was built."""
        path = self._folder / f"{key}{_SUFFIX}"
        return path if path.is_file() else None

    def get_or_build(self, key: str, build: Callable[[Path], None]) -> Path:
        """The file of that key; `build` writes it, to a path in a folder of its own, if it is not there.

        Raises:
            OSError: the disk is full or the folder cannot be written.
        """
        found = self.get(key)
        if found is not None:
            return found
        workplace = Path(tempfile.mkdtemp(prefix=f"{_BUILDING}{os.getpid()}-", dir=self._folder))
        try:
            built = workplace / f"{key}{_SUFFIX}"
            build(built)
            with built.open("rb") as file:
                os.fsync(file.fileno())
            return built.replace(self._folder / built.name)
        finally:
            shutil.rmtree(workplace, ignore_errors=True)

    def discard(self, key: str) -> None:
        """Forget the file of that key."""
        (self._folder / f"{key}{_SUFFIX}").unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
