"""The counts that workers share, tested with real processes, since each process has its own locks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bento_monitor.connections.counts import ConnectionCounts, counts_folder

WORKER = """
import sys
from pathlib import Path
from bento_monitor.connections.counts import ConnectionCounts
counts = ConnectionCounts(Path(sys.argv[1]), 7)
for line in sys.stdin:
    if line.strip() == "close":
        counts.close()
    else:
        counts.publish(int(line))
    print("done", flush=True)
"""


class Worker:
    """Another process with a slot."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-P", "-c", WORKER, str(folder)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"


@contextmanager
def worker(folder: Path) -> Iterator[Worker]:
    found = Worker(folder)
    with found.process:
        yield found
        found.process.kill()


def test_each_worker_sees_the_connections_of_the_others(tmp_path: Path) -> None:
    counts = ConnectionCounts(tmp_path, 7)
    with worker(tmp_path) as one, worker(tmp_path) as two:
        one.tell("3")
        two.tell("5")
        assert sorted(other.connections for other in counts.others()) == [3, 5]
        assert not any(counts.forget_dead(other.slot) for other in counts.others())
    counts.close()


def test_slot_of_a_killed_worker_is_reused_by_a_distinguishable_owner(tmp_path: Path) -> None:
    counts = ConnectionCounts(tmp_path, 7)
    with worker(tmp_path) as one:
        one.tell("3")
        (before,) = counts.others()
    assert counts.forget_dead(before.slot)
    assert counts.others() == []
    with worker(tmp_path) as two:
        two.tell("0")
        (after,) = counts.others()
    assert (after.slot, after.connections) == (before.slot, 0)
    assert after.accepted != before.accepted
    counts.close()


def test_last_worker_to_close_removes_the_file(tmp_path: Path) -> None:
    counts = ConnectionCounts(tmp_path, 7)
    with worker(tmp_path) as one:
        one.tell("1")
        counts.close()
        assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir()] == [0o600]
        one.tell("close")
        assert list(tmp_path.iterdir()) == []


def test_only_unused_count_files_are_removed(tmp_path: Path) -> None:
    (tmp_path / "1.connections").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("somebody's")
    with worker(tmp_path) as one:
        one.tell("1")
        counts = ConnectionCounts(tmp_path, 8)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["7.connections", "8.connections", "notes.txt"]
        counts.close()


def test_calls_after_close_are_not_an_error(tmp_path: Path) -> None:
    counts = ConnectionCounts(tmp_path, 7)
    counts.close()
    counts.publish(3)
    counts.note_accepted()
    counts.close()


def test_folder_that_others_can_write_to_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = counts_folder()
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    with pytest.raises(PermissionError, match="remove it"):
        counts_folder()
