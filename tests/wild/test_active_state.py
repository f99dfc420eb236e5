"""The active state is one complete value: however it was reached, every worker serves the same.

Seen before: with A in one runner and B in another, rollback left B running while `status` showed A; a worker that
started later differed from a running one; a release without batching kept its predecessor's.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from releasing import SERVICE, FakeModels, make_release, move_to, worker

from bento_monitor.errors import InputError, ReleaseError
from bento_monitor.releases.active_store import ActiveStore
from bento_monitor.releases.promotion import promote, promote_own, rollback
from bento_monitor.releases.worker_state import WorkerState
from bento_monitor.serving_config import Batching


@pytest.fixture
def store(tmp_path: Path) -> ActiveStore:
    return ActiveStore(tmp_path / "home", SERVICE)


def served_by_a_new_worker(store: ActiveStore, *runners: str) -> tuple[dict[str, str], dict[str, Batching]]:
    with worker(store, FakeModels(*runners)) as models:
        return models.served, models.batching


def test_rollback_with_two_runners_undoes_only_the_last_move(store: ActiveStore, tmp_path: Path) -> None:
    with worker(store, FakeModels("embed", "rerank")) as models:
        promote(store, *make_release(tmp_path, "a", runner="embed"))
        promote(store, *make_release(tmp_path, "b", runner="rerank"))
        assert models.served == {"embed": "svc-release:a", "rerank": "svc-release:b"}
        rollback(store)
        assert models.served == {"embed": "svc-release:a"}
        assert store.read().state.releases == models.served
        assert served_by_a_new_worker(store, "embed", "rerank") == (models.served, models.batching)


def test_release_without_batching_does_not_keep_its_predecessors(store: ActiveStore, tmp_path: Path) -> None:
    with worker(store) as models:
        promote(store, *make_release(tmp_path, "1", batching=Batching(32, 5.0)))
        assert models.batching == {"embed": Batching(32, 5.0)}
        promote(store, *make_release(tmp_path, "2", batching=None))
        assert models.batching == {}
        assert served_by_a_new_worker(store) == (models.served, {})


def test_release_of_another_runner_without_batching_keeps_the_apis_batching(store: ActiveStore, tmp_path: Path) -> None:
    with worker(store, FakeModels("embed", "rerank")) as models:
        promote(store, *make_release(tmp_path, "1", runner="embed", batching=Batching(16, 1.0)))
        promote(store, *make_release(tmp_path, "2", runner="rerank", batching=Batching(8, 2.0)))
        assert models.batching == {"embed": Batching(8, 2.0)}
        promote(store, *make_release(tmp_path, "3", runner="rerank", batching=None))
        assert models.batching == {"embed": Batching(16, 1.0)}
        promote_own(store, "embed")
        assert models.batching == {}


def test_replacing_a_release_reports_the_apis_without_a_release(store: ActiveStore, tmp_path: Path) -> None:
    with worker(store) as models:
        promote(store, *make_release(tmp_path, "1", apis=("embed", "search")))
        result = promote(store, *make_release(tmp_path, "2", apis=("embed",)))
        assert result.released_apis == ("search",)
        assert models.batching == {"embed": Batching(32, 5.0)}


def test_rollback_never_returns_to_a_failed_release(store: ActiveStore, tmp_path: Path) -> None:
    bad = make_release(tmp_path, "bad")
    with worker(store, FakeModels(refuse={"svc-release:bad": "load"})) as models:
        promote(store, *make_release(tmp_path, "1"))
        with pytest.raises(ReleaseError):
            promote(store, *bad)
        promote(store, *make_release(tmp_path, "2"))
        rollback(store)
        assert models.served == {"model": "svc-release:1"}
        assert store.history().aside.keys() == {"svc-release:bad"}


def test_rollback_walks_back_and_does_not_toggle(store: ActiveStore, tmp_path: Path) -> None:
    with worker(store) as models:
        for version in ("1", "2", "3"):
            promote(store, *make_release(tmp_path, version))
        walked = []
        for _ in range(3):
            rollback(store)
            walked.append(models.served.get("model"))
        assert walked == ["svc-release:2", "svc-release:1", None]
        with pytest.raises(InputError):
            rollback(store)


def test_rollback_returns_to_the_state_under_the_release(store: ActiveStore, tmp_path: Path) -> None:
    with worker(store) as models:
        promote(store, *make_release(tmp_path, "1"))
        promote(store, *make_release(tmp_path, "2"))
        rollback(store)
        promote(store, *make_release(tmp_path, "3"))
        rollback(store)
        assert models.served == {"model": "svc-release:1"}


def test_rollback_skips_a_release_that_no_worker_served(store: ActiveStore, tmp_path: Path) -> None:
    with worker(store):
        promote(store, *make_release(tmp_path, "1"))
    promote(store, *make_release(tmp_path, "2"))  # no server runs
    with worker(store, probation_s=3600.0) as models:
        promoted_release, folder = make_release(tmp_path, "3")
        move_to(store, promoted_release, folder)
        rollback(store)
        assert models.served == {"model": "svc-release:1"}


def test_own_model_can_be_promoted_and_rolled_back(store: ActiveStore, tmp_path: Path) -> None:
    with worker(store, FakeModels("embed", "rerank")) as models:
        promote(store, *make_release(tmp_path, "a", runner="embed"))
        promote(store, *make_release(tmp_path, "b", runner="rerank"))
        promote_own(store, "embed")
        assert models.served == {"rerank": "svc-release:b"}
        promote_own(store)
        assert models.served == {}
        with pytest.raises(InputError, match="own model already"):
            promote_own(store)
        rollback(store)
        assert models.served == {"rerank": "svc-release:b"}


def test_automatic_rollback_writes_the_complete_state_for_new_workers(store: ActiveStore, tmp_path: Path) -> None:
    refuse = {"svc-release:bad": "load"}
    with worker(store, FakeModels("embed", "rerank", refuse=refuse)) as models:
        promote(store, *make_release(tmp_path, "a", runner="embed", batching=Batching(7, 1.0)))
        with pytest.raises(ReleaseError):
            promote(store, *make_release(tmp_path, "bad", runner="rerank"))
        assert models.served == {"embed": "svc-release:a"}
        state = store.read().state
        assert (state.releases, state.reason, state.aside) == (
            models.served,
            "automatic rollback",
            ("svc-release:bad",),
        )
        rollback(store)
        assert models.served == {}
        assert served_by_a_new_worker(store, "embed", "rerank") == ({}, {})


def test_failed_release_promoted_again_is_no_longer_put_aside(store: ActiveStore, tmp_path: Path) -> None:
    models = FakeModels(refuse={"svc-release:1": "load"})
    with worker(store, models):
        release = make_release(tmp_path, "1")
        with pytest.raises(ReleaseError):
            promote(store, *release)
        models.refuse.clear()
        promote(store, *release)
        promote(store, *make_release(tmp_path, "2"))
        rollback(store)
        assert models.served == {"model": "svc-release:1"}
        assert store.history().aside == {}


def test_failing_calls_of_another_runners_release_do_not_veto_a_promotion(store: ActiveStore, tmp_path: Path) -> None:
    models = FakeModels("embed", "rerank")
    models.failing = "svc-release:b"

    def fail(states: list[WorkerState]) -> None:
        models.failed += any(state.phase == "probation" for state in states)

    with worker(store, models, probation_s=0.3):
        promote(store, *make_release(tmp_path, "b", runner="rerank"))
        promote(store, *make_release(tmp_path, "a", runner="embed"), on_workers=fail)
        assert models.failed
        assert models.served == {"embed": "svc-release:a", "rerank": "svc-release:b"}
