"""Moving a service to a release: atomic, journalled, verified, and undone where a worker cannot follow."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bento_monitor.errors import InputError, ReleaseError
from bento_monitor.files import sha256_of
from bento_monitor.releases.agent import ReleaseAgent
from bento_monitor.releases.pointer import Pointer
from bento_monitor.releases.promotion import promote, rollback
from bento_monitor.releases.record import Batching, Execution, Release, TensorSpec
from bento_monitor.releases.store import read_release, write_release
from bento_monitor.releases.worker_state import WorkerState, live_workers


def make_release(tmp_path: Path, name: str = "svc-release:1", workers: int | None = None) -> tuple[Release, Path]:
    artifact = tmp_path / "built.onnx"
    artifact.write_bytes(b"weights of " + name.encode())
    release = Release(
        name=name,
        service="svc",
        api="embed",
        runner="model",
        execution=Execution("onnxruntime", "fp32", 2, sub_batch_size=4, mask_input="mask"),
        batching=Batching(32, 5.0),
        workers=workers,
        artifact_file="model.onnx",
        artifact_sha256=sha256_of(artifact),
        inputs=(TensorSpec("ids", "int64", (None, None)),),
        evidence={"speedup": 3.0},
    )
    folder = tmp_path / name.replace(":", "-")
    return release, write_release(release, artifact, folder)


@contextmanager
def worker(
    pointer: Pointer, fail_on: str | None = None, failures: list[int] | None = None, probation_s: float = 0.0
) -> Iterator[list[str | None]]:
    taken: list[str | None] = []

    def take_over(release: Release | None, folder: Path | None) -> None:
        name = release.name if release is not None else None
        if name is not None and name == fail_on:
            raise ReleaseError("it does not load.")
        taken.append(name)

    agent = ReleaseAgent(pointer, take_over, lambda: len(failures or ()), poll_interval_s=0.01, probation_s=probation_s)
    agent.start()
    try:
        yield taken
    finally:
        agent.stop()


def test_a_release_reads_back_as_it_was_written(tmp_path: Path) -> None:
    release, folder = make_release(tmp_path)
    assert read_release(folder) == release


def test_promote_moves_a_live_worker_and_the_journal_keeps_it(tmp_path: Path) -> None:
    pointer = Pointer(tmp_path / "home", "svc")
    release, folder = make_release(tmp_path)
    with worker(pointer) as taken:
        result = promote(pointer, release, folder, timeout_s=10)
        assert taken == [release.name]
        assert [state.release for state in result.workers] == [release.name]
    assert [move.release for move in pointer.journal()] == [release.name]
    assert live_workers(pointer.folder) == []


def test_a_worker_that_starts_later_takes_what_is_active_before_it_serves(tmp_path: Path) -> None:
    pointer = Pointer(tmp_path / "home", "svc")
    release, folder = make_release(tmp_path)
    promote(pointer, release, folder)
    with worker(pointer) as taken:
        assert taken == [release.name]


def test_a_release_that_does_not_load_is_rolled_back_by_itself(tmp_path: Path) -> None:
    pointer = Pointer(tmp_path / "home", "svc")
    good, good_folder = make_release(tmp_path, "svc-release:1")
    bad, bad_folder = make_release(tmp_path, "svc-release:2")
    with worker(pointer, fail_on=bad.name):
        promote(pointer, good, good_folder, timeout_s=10)
        with pytest.raises(ReleaseError, match="does not load"):
            promote(pointer, bad, bad_folder, timeout_s=10)
    assert pointer.read().release == good.name
    assert [move.reason for move in pointer.journal()] == ["promote", "promote", "automatic rollback"]


def test_rollback_goes_back_to_the_release_before_and_then_to_the_own_model(tmp_path: Path) -> None:
    pointer = Pointer(tmp_path / "home", "svc")
    for version in ("1", "2"):
        promote(pointer, *make_release(tmp_path, f"svc-release:{version}"))
    assert rollback(pointer).move.release == "svc-release:1"


def test_rollback_with_nothing_active_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing|no release"):
        rollback(Pointer(tmp_path / "home", "svc"))


def test_a_release_for_another_number_of_workers_is_refused_with_the_command_that_helps(tmp_path: Path) -> None:
    pointer = Pointer(tmp_path / "home", "svc")
    release, folder = make_release(tmp_path, workers=2)
    with worker(pointer) as taken:
        with pytest.raises(InputError, match="--workers 2"):
            promote(pointer, release, folder)
        assert taken == []
    assert pointer.read().sequence == 0


def test_a_tampered_artifact_is_never_promoted(tmp_path: Path) -> None:
    pointer = Pointer(tmp_path / "home", "svc")
    release, folder = make_release(tmp_path)
    (folder / "model.onnx").write_bytes(b"other weights")
    with pytest.raises(ReleaseError, match="was changed"):
        promote(pointer, release, folder)
    assert pointer.read().sequence == 0


def test_concurrent_moves_are_all_kept_in_order(tmp_path: Path) -> None:
    pointer = Pointer(tmp_path / "home", "svc")
    threads = [threading.Thread(target=pointer.move, args=(f"r{n}", tmp_path, "test")) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [move.sequence for move in pointer.journal()] == list(range(1, 9))
    assert pointer.read().sequence == 8


def test_the_state_of_a_worker_that_was_killed_is_not_counted(tmp_path: Path) -> None:
    pointer = Pointer(tmp_path / "home", "svc")
    state = {"pid": 2**22 - 7, "server_pid": 1, "started_at_s": 1.0, "sequence": 0, "release": None, "phase": "serving"}
    path = pointer.folder / "workers" / f"{state['pid']}.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(state))
    assert live_workers(pointer.folder) == []
    assert not path.exists()


def test_a_release_that_fails_a_call_in_its_probation_is_taken_back_everywhere(tmp_path: Path) -> None:
    pointer = Pointer(tmp_path / "home", "svc")
    failures: list[int] = []
    release, folder = make_release(tmp_path)

    def on_workers(states: list[WorkerState]) -> None:
        if not failures and any(state.phase == "probation" for state in states):
            failures.append(1)

    with worker(pointer, failures=failures, probation_s=60.0) as taken:
        with pytest.raises(ReleaseError, match="failed 1 call"):
            promote(pointer, release, folder, timeout_s=30, on_workers=on_workers)
        assert taken[:2] == [release.name, None]
    assert pointer.read().release is None


def test_a_pointer_that_moves_on_ends_a_probation(tmp_path: Path) -> None:
    pointer = Pointer(tmp_path / "home", "svc")
    release, folder = make_release(tmp_path)
    with worker(pointer, probation_s=3600.0):
        pointer.move(release.name, folder, "promote")
        assert [state.release for state in rollback(pointer, timeout_s=30).workers] == [None]
