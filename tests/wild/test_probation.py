"""A release on probation is watched, whatever else happens meanwhile.

Seen before: a second move, a file that could not be read for 50 ms, or a start without a running server ended a
probation, and a failed release was noted as having served well; a new one was blamed for a call of the old one.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
import torch
from releasing import SERVICE, FakeModels, make_release, move_to, worker
from waiting import wait_until

from bento_monitor.errors import ReleaseError
from bento_monitor.releases.active_store import ActiveStore
from bento_monitor.releases.promotion import promote, promote_own, rollback
from bento_monitor.releases.worker_state import WorkerState, dead_workers, live_workers, write_worker_state
from bento_monitor.runner import MonitoredRunner, PreparedModel


@pytest.fixture
def store(tmp_path: Path) -> ActiveStore:
    return ActiveStore(tmp_path / "home", SERVICE)


def test_failing_move_does_not_end_a_probation(store: ActiveStore, tmp_path: Path) -> None:
    with worker(store):
        promote(store, *make_release(tmp_path, "a"))
    models = FakeModels(refuse={"svc-release:c": "load"})
    with worker(store, models, probation_s=3600.0):
        move_to(store, *make_release(tmp_path, "b"))
        wait_until(lambda: models.served == {"model": "svc-release:b"})
        with pytest.raises(ReleaseError):
            promote(store, *make_release(tmp_path, "c"), timeout_s=20)
        wait_until(lambda: models.served == {"model": "svc-release:b"})
        models.failing, models.failed = "svc-release:b", 1
        wait_until(lambda: models.served == {"model": "svc-release:a"})
    assert store.history().aside.keys() == {"svc-release:b", "svc-release:c"}


def test_previous_release_is_freed_only_after_the_probation(store: ActiveStore, tmp_path: Path) -> None:
    models = FakeModels()
    with worker(store, models, probation_s=3600.0):
        for version in ("a", "b"):
            release, folder = make_release(tmp_path, version)
            move_to(store, release, folder)
            wait_until(lambda name=release.name: models.served == {"model": name})
        assert models.times_freed == 0
    with worker(store, models, probation_s=0.1):
        move_to(store, *make_release(tmp_path, "c"))
        wait_until(lambda: models.times_freed == 1)


def test_move_of_another_runner_does_not_end_a_probation(store: ActiveStore, tmp_path: Path) -> None:
    models = FakeModels("embed", "rerank")
    with worker(store, models, probation_s=3600.0):
        move_to(store, *make_release(tmp_path, "b", runner="rerank"))
        wait_until(lambda: "rerank" in models.served)
        move_to(store, *make_release(tmp_path, "x", runner="embed"))
        wait_until(lambda: "embed" in models.served)
        models.failing, models.failed = "svc-release:b", 1
        wait_until(lambda: store.read().state.reason == "automatic rollback")
        wait_until(lambda: models.served == {})
    assert store.history().aside.keys() == {"svc-release:b"}
    assert store.history().kept == set()


def test_briefly_unreadable_file_does_not_end_a_probation(store: ActiveStore, tmp_path: Path) -> None:
    models = FakeModels()
    with worker(store, models, probation_s=3600.0):
        move_to(store, *make_release(tmp_path))
        wait_until(lambda: [state.phase for state in live_workers(store.folder)] == ["probation"])
        away = store.path.rename(store.path.with_name("away"))
        time.sleep(0.05)
        away.rename(store.path)
        models.failed = 1
        wait_until(lambda: models.served == {})
    assert store.read().state.releases == {}


def test_release_promoted_without_a_server_is_on_probation_from_its_start(store: ActiveStore, tmp_path: Path) -> None:
    promote(store, *make_release(tmp_path))
    models = FakeModels()
    with worker(store, models, probation_s=3600.0):
        assert models.served == {"model": "svc-release:1"}
        models.failed = 1
        wait_until(lambda: models.served == {})
    assert store.history().aside.keys() == {"svc-release:1"}


def test_failure_during_a_probation_counts_at_its_end(store: ActiveStore, tmp_path: Path) -> None:
    models = FakeModels()
    with worker(store, models, probation_s=0.3):
        move_to(store, *make_release(tmp_path))
        wait_until(lambda: "model" in models.served)
        models.failed = 1
        wait_until(lambda: models.served == {})
        time.sleep(0.5)
    assert store.history().kept == set()


def test_move_to_the_own_model_waits_for_no_probation(store: ActiveStore, tmp_path: Path) -> None:
    with worker(store) as models:
        promote(store, *make_release(tmp_path))
    with worker(store, models, probation_s=3600.0):
        promote_own(store, timeout_s=5)
        assert models.served == {}


def test_weights_are_checked_during_a_probation(store: ActiveStore, tmp_path: Path) -> None:
    asked: list[str] = []

    class Watched(FakeModels):
        def fingerprints(self, names: Collection[str]) -> dict[str, str]:
            if self.served:
                asked.extend(names)
            return super().fingerprints(names)

    with worker(store, Watched(), probation_s=3600.0):
        move_to(store, *make_release(tmp_path))
        wait_until(lambda: asked)
        assert [state.phase for state in live_workers(store.folder)] == ["probation"]


def test_refused_release_of_another_runner_does_not_fail_the_move(store: ActiveStore, tmp_path: Path) -> None:
    with worker(store, FakeModels("embed", "rerank")):
        promote(store, *make_release(tmp_path, "a", runner="embed"))
        promote(store, *make_release(tmp_path, "b1", runner="rerank"))
        promote(store, *make_release(tmp_path, "b2", runner="rerank"))
    with worker(store, FakeModels("embed", "rerank", refuse={"svc-release:a": "model"})) as models:
        assert models.served == {"rerank": "svc-release:b2"}
        rollback(store, timeout_s=10)
        assert models.served == {"rerank": "svc-release:b1"}
        promote(store, *make_release(tmp_path, "b3", runner="rerank"), timeout_s=10)
        assert models.served == {"rerank": "svc-release:b3"}
    assert store.history().aside == {}


def test_rollback_skips_states_of_other_models(store: ActiveStore, tmp_path: Path) -> None:
    other = f"v1:{'b' * 64}"
    with worker(store, FakeModels("embed", "rerank")):
        promote(store, *make_release(tmp_path, "b0", runner="rerank", fingerprint=other))
        promote(store, *make_release(tmp_path, "a", runner="embed", fingerprint=other))
        promote(store, *make_release(tmp_path, "b1", runner="rerank"))
        promote(store, *make_release(tmp_path, "b2", runner="rerank"))
    with worker(store, FakeModels("embed", "rerank", refuse={"svc-release:a": "model"})) as models:
        wait_until(lambda: all(state.fingerprints for state in live_workers(store.folder)))
        rollback(store, timeout_s=10)
        assert models.served == {"rerank": "svc-release:b1"}  # a is refused, now as before
        rollback(store, timeout_s=10)
        assert models.served == {}  # b0 belongs to another model than rerank's


class Blocking:
    """A release whose call blocks until the test lets it fail."""

    backend, precision = "onnxruntime", "fp32"

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()

    def run(self, args: tuple[Any, ...], kwargs: Any, method: str | None = None) -> Any:
        self.begun.set()
        assert self.go_on.wait(20)
        raise RuntimeError("late")


def test_late_failure_of_the_old_release_counts_against_the_old_one(tmp_path: Path) -> None:
    runner = MonitoredRunner(torch.nn.Linear(2, 2).eval(), name="late")
    old, _ = make_release(tmp_path, "old", runner="late")
    new, _ = make_release(tmp_path, "new", runner="late")
    model = Blocking()
    runner.activate(PreparedModel(model, old))
    thread = threading.Thread(target=lambda: runner(torch.ones(1, 2)))
    thread.start()
    assert model.begun.wait(20)
    runner.activate(PreparedModel(Blocking(), new))
    model.go_on.set()
    thread.join()
    assert dict(runner.failures) == {"svc-release:old": 1}


def dead_state(store: ActiveStore, server: tuple[int, str], *, phase: Any = "loading") -> WorkerState:
    """Return the state file of a worker that was killed while it loaded the active releases."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    state = store.read().state
    releases = tuple(state.releases.values())
    return WorkerState(process.pid, f"gone-{process.pid}", *server, state.sequence, phase, loading=releases)


def test_old_death_does_not_count_against_a_release_that_served_well(store: ActiveStore, tmp_path: Path) -> None:
    with worker(store):
        promote(store, *make_release(tmp_path))
    write_worker_state(store.folder, dead_state(store, (1, "a server that was killed")))
    with worker(store) as models:
        assert models.served == {"model": "svc-release:1"}
        wait_until(lambda: not dead_workers(store.folder))
    write_worker_state(store.folder, dead_state(store, (2, "another one, months later")))
    with worker(store) as models:
        assert models.served == {"model": "svc-release:1"}


def test_worker_follows_moves_after_an_undo_that_cannot_be_written(
    store: ActiveStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = FakeModels(refuse={"svc-release:2": "load"})
    with worker(store, models):
        promote(store, *make_release(tmp_path, "1"))
        undo = ActiveStore.undo

        def fail(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(ActiveStore, "undo", fail)
        move_to(store, *make_release(tmp_path, "2"))
        wait_until(lambda: "svc-release:2" in models.prepared)
        move_to(store, *make_release(tmp_path, "3"))
        wait_until(lambda: models.served == {"model": "svc-release:3"})
        monkeypatch.setattr(ActiveStore, "undo", undo)
        time.sleep(0.1)
        assert store.read().state.releases == {"model": "svc-release:3"}


def test_failed_rollback_puts_aside_its_target(store: ActiveStore, tmp_path: Path) -> None:
    models = FakeModels()
    with worker(store, models):
        for version in ("1", "2", "3"):
            promote(store, *make_release(tmp_path, version))
        models.refuse["svc-release:2"] = "load"
        with pytest.raises(ReleaseError):
            rollback(store, timeout_s=10)
        wait_until(lambda: models.served == {"model": "svc-release:3"})
        rollback(store, timeout_s=10)
        assert models.served == {"model": "svc-release:1"}


def test_move_numbers_never_restart_under_a_worker(store: ActiveStore, tmp_path: Path) -> None:
    models = FakeModels(refuse={"svc-release:2": "load"})
    with worker(store, models):
        promote(store, *make_release(tmp_path, "1"))
        for path in store.folder.glob("*.json*"):
            path.write_text("{")
        with pytest.raises(ReleaseError):
            promote(store, *make_release(tmp_path, "2"), timeout_s=10)
