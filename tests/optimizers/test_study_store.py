from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from optimizers.artifacts.cache import ArtifactCache
from optimizers.errors import StudyInputError
from optimizers.study_store import StudyStore

MANY = 10**9
MINE, OTHERS = "1" * 16, "2" * 16
SHORT = {MINE: "mine", OTHERS: "other"}
OTHER = """
import sys
from pathlib import Path
from optimizers.study_store import StudyStore
with StudyStore(Path(sys.argv[1])).study("2" * 16, 0):
    print("open", flush=True)
    sys.stdin.read()
"""


def fill(root: Path) -> None:
    """Three artifacts and two studies of 1,000 bytes, each a day younger than the one before."""
    for day, name in enumerate("abcde"):
        path = root / (f"studies/{name * 16}" if name in "bd" else f"artifacts/{name * 64}.onnx")
        file = path / "lock" if path.parent.name == "studies" else path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x" * 1000)
        os.utime(file, (1e9 + 86400 * day, 1e9 + 86400 * day))


def names(root: Path) -> list[str]:
    return [SHORT.get(item.path.name, item.path.name[0]) for item in StudyStore(root).items()]


def test_what_was_not_used_for_longest_is_removed_down_to_the_limit(tmp_path: Path) -> None:
    fill(tmp_path)
    assert names(tmp_path) == ["a", "b", "c", "d", "e"]
    with StudyStore(tmp_path).study(MINE, 2500):
        assert names(tmp_path) == ["d", "e", "mine"]
    with StudyStore(tmp_path).study(MINE, 0):
        assert names(tmp_path) == ["mine"]


def test_used_artifact_outlives_older_ones(tmp_path: Path) -> None:
    fill(tmp_path)
    cache = ArtifactCache(tmp_path / "artifacts")
    assert cache.get("a" * 64) is not None
    assert cache.get("none") is None
    with StudyStore(tmp_path).study(MINE, 1000):
        assert set(names(tmp_path)) == {"a", "mine"}


def test_nothing_is_removed_while_another_study_runs(tmp_path: Path) -> None:
    fill(tmp_path)
    other = subprocess.Popen(
        [sys.executable, "-c", OTHER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        fill(tmp_path)
        with StudyStore(tmp_path).study(MINE, 0):
            assert set(names(tmp_path)) == {"a", "b", "c", "d", "e", "other", "mine"}
        with pytest.raises(StudyInputError, match="Another process"), StudyStore(tmp_path).study(OTHERS, 0):
            pass
    finally:
        other.communicate()
    with StudyStore(tmp_path).study(MINE, 0):
        assert set(names(tmp_path)) == {"other", "mine"}  # which hold nothing


def test_studies_share_artifacts(tmp_path: Path) -> None:
    store = StudyStore(tmp_path)
    with store.study("first", MANY) as folder:
        ArtifactCache(folder.artifacts).get_or_build("key", lambda path: path.write_bytes(b"graph") and None)
    with store.study("second", MANY) as folder:
        assert ArtifactCache(folder.artifacts).get("key") is not None


def test_files_of_others_in_such_folders_are_neither_counted_nor_removed(tmp_path: Path) -> None:
    others = [tmp_path / name for name in ("artifacts/model.onnx", "artifacts/run/weights.bin", "studies/me/notes.txt")]
    for path in others:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 1000)
    assert names(tmp_path) == []
    with StudyStore(tmp_path).study(MINE, 0):
        assert all(path.is_file() for path in others)
