"""The promotion of a release: atomic, journaled, verified, and reverted if a worker cannot follow."""

import json
import threading
from pathlib import Path

import pytest
from releasing import SERVICE, FakeModels, make_release, move_to, worker

from bento_monitor.errors import InputError, ReleaseError
from bento_monitor.releases.active_store import ActiveStore
from bento_monitor.releases.promotion import promote, rollback
from bento_monitor.releases.release_store import read_release
from bento_monitor.releases.worker_state import WorkerState, dead_workers, live_workers


@pytest.fixture
def store(tmp_path: Path) -> ActiveStore:
    return ActiveStore(tmp_path / "home", SERVICE)


def test_release_is_read_back_unchanged(tmp_path: Path) -> None:
    release, folder = make_release(tmp_path)
    assert read_release(folder) == release


def test_promotion_reaches_a_live_worker_and_the_journal(store: ActiveStore, tmp_path: Path) -> None:
    release, folder = make_release(tmp_path)
    with worker(store) as models:
        result = promote(store, release, folder, timeout_s=10)
        assert models.served == {"model": release.name}
        assert [state.serves for state in result.workers] == [{"model": release.name}]
    assert [state.promoted for state in store.history().states.values()] == [release.name]
    assert live_workers(store.folder) == []


def test_new_worker_activates_the_release_before_it_serves(store: ActiveStore, tmp_path: Path) -> None:
    release, folder = make_release(tmp_path)
    promote(store, release, folder)
    with worker(store) as models:
        assert models.served == {"model": release.name}


def test_release_that_does_not_load_is_rolled_back_automatically(store: ActiveStore, tmp_path: Path) -> None:
    good, good_folder = make_release(tmp_path, "1")
    bad, bad_folder = make_release(tmp_path, "2")
    with worker(store, FakeModels(refuse={bad.name: "load"})) as models:
        promote(store, good, good_folder, timeout_s=10)
        with pytest.raises(ReleaseError, match="does not load"):
            promote(store, bad, bad_folder, timeout_s=10)
        assert models.served == {"model": good.name}
    assert store.read().state.releases == {"model": good.name}
    assert [state.reason for state in store.history().states.values()] == ["promote", "promote", "automatic rollback"]


def test_rollback_returns_to_the_previous_release_and_then_to_the_own_model(store: ActiveStore, tmp_path: Path) -> None:
    with worker(store) as models:
        for version in ("1", "2"):
            promote(store, *make_release(tmp_path, version))
        rollback(store)
        assert models.served == {"model": "svc-release:1"}
        rollback(store)
        assert models.served == {}
        with pytest.raises(InputError, match="no release"):
            rollback(store)


def test_rollback_without_an_active_release_is_refused(store: ActiveStore) -> None:
    with pytest.raises(InputError, match="no release"):
        rollback(store)


def test_release_for_another_worker_count_is_refused_with_the_serve_option(store: ActiveStore, tmp_path: Path) -> None:
    release, folder = make_release(tmp_path, workers=2)
    with worker(store) as models:
        with pytest.raises(InputError, match="--workers 2"):
            promote(store, release, folder)
        assert models.served == {}
    assert store.read().state.sequence == 0


def test_tampered_artifact_is_never_promoted(store: ActiveStore, tmp_path: Path) -> None:
    release, folder = make_release(tmp_path)
    (folder / "model.onnx").write_bytes(b"other weights")
    with pytest.raises(ReleaseError, match="was changed"):
        promote(store, release, folder)
    assert store.read().state.sequence == 0


def test_concurrent_changes_are_all_recorded_in_order(store: ActiveStore, tmp_path: Path) -> None:
    release, folder = make_release(tmp_path)

    def move() -> None:
        move_to(store, release, folder)

    threads = [threading.Thread(target=move) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(store.history().states) == list(range(1, 9))
    assert store.read().state.sequence == 8


def test_state_of_a_killed_worker_is_ignored_and_then_removed(store: ActiveStore) -> None:
    state = WorkerState(2**22 - 7, "gone", 1, "gone", 0, "serving")
    path = store.folder / "workers" / "4194297-gone.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({name: getattr(state, name) for name in WorkerState.__slots__}))
    assert live_workers(store.folder) == []
    assert dead_workers(store.folder) == [state]
    with worker(store):
        assert not path.exists()


def test_release_that_fails_a_call_on_probation_is_reverted_everywhere(store: ActiveStore, tmp_path: Path) -> None:
    release, folder = make_release(tmp_path)
    models = FakeModels()

    def on_workers(states: list[WorkerState]) -> None:
        models.failed = int(any(state.phase == "probation" for state in states))

    with worker(store, models, probation_s=60.0):
        with pytest.raises(ReleaseError, match="failed 1 call"):
            promote(store, release, folder, timeout_s=30, on_workers=on_workers)
        assert models.taken[:3] == [{}, {"model": release.name}, {}]
    assert store.read().state.releases == {}


def test_later_change_ends_a_probation(store: ActiveStore, tmp_path: Path) -> None:
    release, folder = make_release(tmp_path)
    with worker(store, probation_s=3600.0) as models:
        move_to(store, release, folder)
        result = rollback(store, timeout_s=30)
        assert [state.serves for state in result.workers] == [{"model": None}]
        assert models.served == {}
