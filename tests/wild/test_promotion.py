"""A promotion ends when the existing workers, or their replacements, report that they serve exactly this move.

Seen before: it succeeded although the worker had died while loading, another promotion had overtaken it, or the wall
clock was stepped by a second; workers that died left no trace for their successors to learn from.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import server_process
from releasing import SERVICE, FakeModels, at_once, make_release, move_to, script_environment, worker
from waiting import wait_until

from bento_monitor.errors import InputError, ReleaseError
from bento_monitor.releases.active_store import ActiveStore
from bento_monitor.releases.promotion import PromotionResult, promote, rollback
from bento_monitor.releases.status import read_status
from bento_monitor.releases.worker_state import WorkerState, live_workers
from bento_monitor.resilience.liveness import is_alive, process_identity


class Server:
    """A running server, with instructions for its workers."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.process = process
        self.folder = folder

    def tell(self, what: str, release: str, how: str = "") -> Path:
        path = self.folder / f"{what}-{server_process.name_of(release)}{how}"
        path.touch()
        return path

    def workers(self, store: ActiveStore) -> list[WorkerState]:
        return [state for state in live_workers(store.folder) if state.server_pid == self.process.pid]

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(20)


Serve = Callable[..., Server]


@pytest.fixture
def store(tmp_path: Path) -> ActiveStore:
    return ActiveStore(tmp_path / "home", SERVICE)


@pytest.fixture
def serve(tmp_path: Path, store: ActiveStore) -> Iterator[Serve]:
    servers: list[Server] = []

    def start(workers: int = 2, probation_s: float = 0.0) -> Server:
        folder = tmp_path / f"server-{len(servers)}"
        folder.mkdir()
        arguments = [str(tmp_path / "home"), str(folder), str(workers), str(probation_s)]
        process = subprocess.Popen([sys.executable, server_process.__file__, *arguments], env=script_environment())
        server = Server(process, folder)
        servers.append(server)
        wait_until(lambda: len(list(folder.glob("up-*"))) >= workers)
        return server

    yield start
    for server in servers:
        server.end()


def on_release(store: ActiveStore, release: str) -> int:
    return sum(state.serves == {"model": release} and state.phase == "serving" for state in live_workers(store.folder))


def test_all_workers_of_all_servers_serve_the_reported_release(
    store: ActiveStore, tmp_path: Path, serve: Serve
) -> None:
    serve(2), serve(1)
    result = promote(store, *make_release(tmp_path))
    assert [state.serves for state in result.workers] == [{"model": "svc-release:1"}] * 3
    assert rollback(store).state.releases == {}
    assert on_release(store, "svc-release:1") == 0


def test_release_that_kills_its_loading_worker_is_not_promoted(
    store: ActiveStore, tmp_path: Path, serve: Serve
) -> None:
    server = serve(2)
    promote(store, *make_release(tmp_path, "1"))
    server.tell("kill", "svc-release:2")
    with pytest.raises(ReleaseError, match=r"died while it loaded.*[Rr]everted to svc-release:1"):
        promote(store, *make_release(tmp_path, "2"), timeout_s=30)
    wait_until(lambda: on_release(store, "svc-release:1") == 2)
    assert store.history().aside.keys() == {"svc-release:2"}
    assert store.read().state.releases == {"model": "svc-release:1"}


def test_replacement_worker_serves_the_previous_release_even_if_nobody_waits(
    store: ActiveStore, tmp_path: Path, serve: Serve
) -> None:
    server = serve(1)
    promote(store, *make_release(tmp_path, "1"))
    server.tell("kill", "svc-release:2")
    release, folder = make_release(tmp_path, "2")
    move_to(store, release, folder)
    wait_until(lambda: store.read().state.reason == "automatic rollback")
    wait_until(lambda: on_release(store, "svc-release:1") == 1)
    assert "died while it loaded svc-release:2" in (store.read().state.note or "")


def test_release_that_kills_its_workers_soon_is_rolled_back(store: ActiveStore, tmp_path: Path, serve: Serve) -> None:
    server = serve(2, probation_s=30.0)
    server.tell("kill", "svc-release:1", "-later")
    with pytest.raises(ReleaseError, match="died"):
        promote(store, *make_release(tmp_path, "1"), timeout_s=60)
    wait_until(lambda: [state.serves for state in live_workers(store.folder)] == [{"model": None}] * 2)


def test_one_killed_server_is_not_blamed_on_the_loading_release(
    store: ActiveStore, tmp_path: Path, serve: Serve
) -> None:
    server = serve(1)
    release, folder = make_release(tmp_path, "1")
    hang = server.tell("hang", release.name)
    move_to(store, release, folder)
    wait_until(lambda: any(state.phase == "loading" for state in live_workers(store.folder)))
    server.process.kill()
    for state in live_workers(store.folder):
        os.kill(state.pid, signal.SIGKILL)
    hang.unlink()
    serve(1)
    wait_until(lambda: on_release(store, release.name) == 1)


def test_release_that_kills_server_after_server_is_put_aside(store: ActiveStore, tmp_path: Path, serve: Serve) -> None:
    release, folder = make_release(tmp_path, "1")
    promote(store, release, folder)
    for _ in range(2):  # each a container that exits with its only worker
        code = (
            "import os, sys, signal; from releasing import *; models = FakeModels(); "
            "models.on_prepare = lambda release: os.kill(os.getpid(), signal.SIGKILL); "
            "worker(ActiveStore(Path(sys.argv[1]), SERVICE), models).__enter__()"
        )
        container = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}, sys.argv[1]])"
        subprocess.run(
            [sys.executable, "-c", container, str(tmp_path / "home")],
            env=script_environment(),
            check=True,
        )
    with worker(store) as models:
        assert models.served == {}
    assert store.history().aside.keys() == {release.name}


def test_promotion_waits_for_a_replaced_worker(store: ActiveStore, tmp_path: Path, serve: Serve) -> None:
    server = serve(2, probation_s=0.5)
    killed: list[int] = []

    def kill_one(states: list[WorkerState]) -> None:
        if not killed and any(state.phase == "probation" for state in states):
            killed.append(states[0].pid)
            os.kill(states[0].pid, signal.SIGKILL)

    result = promote(store, *make_release(tmp_path), timeout_s=60, on_workers=kill_one)
    assert killed
    assert killed[0] not in {state.pid for state in result.workers}
    assert [state.serves for state in result.workers] == [{"model": "svc-release:1"}] * 2
    assert len(server.workers(store)) == 2


def test_racing_promotions_report_success_only_if_made(store: ActiveStore, tmp_path: Path) -> None:
    with worker(store) as models:
        for race in range(6):
            releases = [make_release(tmp_path, f"{race}-{index}") for index in range(2)]
            found = at_once(*(lambda each=each: promote(store, *each, timeout_s=20) for each in releases))
            active = store.read().state
            reported = [each for each in found if isinstance(each, PromotionResult)]
            overtaken = [each for each in found if isinstance(each, ReleaseError)]
            assert len(reported) + len(overtaken) == 2
            assert active.sequence in {each.state.sequence for each in reported}
            assert models.served == active.releases
            for error in overtaken:
                assert "overtaken" in str(error)


def test_overtaken_promotion_reports_it_and_rolls_nothing_back(store: ActiveStore, tmp_path: Path) -> None:
    later, later_folder = make_release(tmp_path, "2")

    def overtake(states: list[WorkerState]) -> None:
        if store.read().state.sequence == 1:
            move_to(store, later, later_folder)

    with worker(store) as models:
        with pytest.raises(ReleaseError, match="overtaken"):
            promote(store, *make_release(tmp_path, "1"), on_workers=overtake, timeout_s=10)
        wait_until(lambda: models.served == {"model": "svc-release:2"})
    assert store.read().state.releases == {"model": "svc-release:2"}


def test_server_that_stops_during_promotion_is_a_failure(store: ActiveStore, tmp_path: Path, serve: Serve) -> None:
    server = serve(1)
    server.tell("hang", "svc-release:1")

    def stop(states: list[WorkerState]) -> None:
        if any(state.phase == "loading" for state in states):
            server.process.kill()
            server.process.wait()
            for state in states:
                os.kill(state.pid, signal.SIGKILL)

    with pytest.raises(ReleaseError, match=r"server stopped|died"):
        promote(store, *make_release(tmp_path), timeout_s=30, on_workers=stop)
    assert store.read().state.releases == {}


def test_server_started_during_promotion_serves_the_same(store: ActiveStore, tmp_path: Path, serve: Serve) -> None:
    first = serve(1)
    hang = first.tell("hang", "svc-release:1")
    started: list[Server] = []

    def start(states: list[WorkerState]) -> None:
        if not started and any(state.phase == "loading" for state in states):
            started.append(serve(1))
            hang.unlink()

    result = promote(store, *make_release(tmp_path), timeout_s=60, on_workers=start)
    assert [state.server_pid for state in result.workers] == [first.process.pid]
    wait_until(lambda: on_release(store, "svc-release:1") == 2)
    assert read_status(store).problems == ()


def test_stuck_worker_is_a_failure(store: ActiveStore, tmp_path: Path, serve: Serve) -> None:
    server = serve(2)
    hang = server.tell("hang", "svc-release:1")
    with pytest.raises(ReleaseError, match=r"0 of 2 worker\(s\) serve it after 1 s. Reverted"):
        promote(store, *make_release(tmp_path), timeout_s=1)
    hang.unlink()
    wait_until(lambda: read_status(store).problems == () and len(live_workers(store.folder)) == 2)
    assert on_release(store, "svc-release:1") == 0


def test_several_services_on_one_home_do_not_affect_each_other(tmp_path: Path) -> None:
    one, other = ActiveStore(tmp_path / "home", SERVICE), ActiveStore(tmp_path / "home", "other")
    with worker(one) as models, worker(other) as others:
        promote(one, *make_release(tmp_path))
        assert (models.served, others.served) == ({"model": "svc-release:1"}, {})
        assert len(live_workers(one.folder)) == len(live_workers(other.folder)) == 1
        with pytest.raises(ReleaseError, match="is for the service svc"):
            promote(other, *make_release(tmp_path))


@contextmanager
def stepped_clock(monkeypatch: pytest.MonkeyPatch, step_s: float) -> Iterator[None]:
    """Step the wall clock: times derived from it, such as the boot time, shift by the same amount."""
    wall, booted_s = time.time, psutil.boot_time()
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: wall() + step_s)
        patch.setattr(psutil._pslinux, "boot_time", lambda: booted_s + step_s)
        patch.setattr(psutil._pslinux, "BOOT_TIME", booted_s + step_s, raising=False)
        yield


@pytest.mark.parametrize("step_s", [1.0, -3600.0])
def test_stepped_clock_hides_no_worker(
    store: ActiveStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step_s: float
) -> None:
    with worker(store) as models, stepped_clock(monkeypatch, step_s):
        result = promote(store, *make_release(tmp_path), timeout_s=10)
        assert len(result.workers) == 1
        assert models.served == {"model": "svc-release:1"}


def test_zombie_process_is_not_alive() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    identity = process_identity(process.pid)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert identity
    assert not is_alive(process.pid, identity)
    process.wait()
    assert not is_alive(process.pid, identity)


def test_release_promoted_without_a_server_is_served_at_the_next_start(store: ActiveStore, tmp_path: Path) -> None:
    result = promote(store, *make_release(tmp_path))
    assert result.workers == ()
    with worker(store, FakeModels()) as models:
        assert models.served == {"model": "svc-release:1"}


def test_interrupted_promotion_is_undone_but_interrupted_rollback_is_not(store: ActiveStore, tmp_path: Path) -> None:
    def interrupt(states: list[WorkerState]) -> None:
        raise KeyboardInterrupt

    with worker(store) as models:
        promote(store, *make_release(tmp_path, "1"))
        with pytest.raises(KeyboardInterrupt):
            promote(store, *make_release(tmp_path, "2"), on_workers=interrupt)
        wait_until(lambda: models.served == {"model": "svc-release:1"})
        assert store.read().state.releases == {"model": "svc-release:1"}
        with pytest.raises(KeyboardInterrupt):
            rollback(store, on_workers=interrupt)
        wait_until(lambda: models.served == {})


@pytest.mark.parametrize("timeout_s", [0.0, -1.0, float("nan")])
def test_invalid_timeout_is_refused_before_the_move(store: ActiveStore, tmp_path: Path, timeout_s: float) -> None:
    with pytest.raises(InputError, match="timeout"):
        promote(store, *make_release(tmp_path), timeout_s=timeout_s)
    assert store.read().state.sequence == 0


def test_worker_finds_the_release_under_another_model_store_path(
    store: ActiveStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(store, *make_release(tmp_path / "here", "1"))
    (tmp_path / "here").rename(tmp_path / "there")
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "there"))
    with worker(store) as models:
        assert models.served == {"model": "svc-release:1"}


def test_worker_without_its_parent_is_still_promoted(
    store: ActiveStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getppid", lambda: 2**22 - 3)
    with worker(store) as models:
        (result,) = promote(store, *make_release(tmp_path), timeout_s=10).workers
        assert result.server == (2**22 - 3, "")
        assert models.served == {"model": "svc-release:1"}
