"""Whatever happens to the files, every command works or reports its repair, and workers recover automatically.

Seen before: a corrupt `active.json` named a remedy that failed on it; half a line in the journal made rollback fail
with a traceback forever; a deeply nested record was a RecursionError in `list` and in the error of `promote`; a worker
that started meanwhile never followed again; a move on a full disk was never followed.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from releasing import SERVICE, FakeModels, make_release, move_to, worker
from waiting import wait_until

from bento_monitor.cli import main
from bento_monitor.errors import ReleaseError
from bento_monitor.releases import active_store, worker_state
from bento_monitor.releases.active_store import ActiveStore
from bento_monitor.releases.promotion import promote, rollback
from bento_monitor.releases.status import read_status
from bento_monitor.releases.worker_state import live_workers

NESTED = "[" * 100_000


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path))
    monkeypatch.setenv("BENTO_MONITOR_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.fixture
def store(home: Path) -> ActiveStore:
    """A store in which two releases have served one after the other, on a worker that has exited."""
    store = ActiveStore(home / "home", SERVICE)
    with worker(store):
        for version in ("1", "2"):
            promote(store, *make_release(home, version))
    return store


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(main, ["release", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result


DAMAGE: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "half": lambda path: path.write_bytes(path.read_bytes()[:40]),
    "no JSON": lambda path: path.write_text("active"),
    "no text": lambda path: path.write_bytes(b"\xff\xfe\x00" * 10),
    "nested": lambda path: path.write_text(NESTED),
    "a list": lambda path: path.write_text("[]"),
    "a huge number": lambda path: path.write_text(
        path.read_text().replace('"moved_at_s": ', '"moved_at_s": 1' + "0" * 400)
    ),
    "a circle": lambda path: path.write_text(path.read_text().replace('"parent": 1', '"parent": 2')),
    "another format": lambda path: path.write_text(json.dumps({"sequence": 1, "release": "x", "folder": "/x"})),
    "a batch size of 0": lambda path: path.write_text(
        path.read_text().replace('"max_batch_size": 32', '"max_batch_size": 0')
    ),
    "gone": lambda path: path.unlink(),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_commands_work_on_a_damaged_active_state_and_the_next_move_repairs_it(
    store: ActiveStore, home: Path, damage: str
) -> None:
    DAMAGE[damage](store.path)
    shown = run("status", SERVICE)
    assert shown.exit_code == 1
    assert "svc-release:2" in shown.output
    assert "last good state" in shown.output
    assert run("list").exit_code == 0
    with worker(store) as models:
        assert models.served == {"model": "svc-release:2"}
        back = run("rollback", SERVICE)
        assert (back.exit_code, models.served) == (0, {"model": "svc-release:1"}), back.output
    assert read_status(store).problems == ()
    assert run("promote", "svc-release:2").exit_code == 0


@pytest.mark.parametrize("damage", ["half", "gone", "nested"])
def test_journal_has_the_last_good_state_if_the_copy_is_damaged(store: ActiveStore, damage: str) -> None:
    for path in (store.path, store.path.with_name("active.last-good.json")):
        DAMAGE[damage](path)
    assert store.read().state.releases == {"model": "svc-release:2"}
    assert run("rollback", SERVICE).exit_code == 0
    assert store.read().state.releases == {"model": "svc-release:1"}


def test_own_model_is_served_and_commands_work_if_nothing_is_readable(store: ActiveStore, home: Path) -> None:
    for path in store.folder.glob("*.json*"):
        path.write_text("{")
    with worker(store) as models:
        assert models.served == {}
        assert run("status", SERVICE).exit_code == 1
        assert run("rollback", SERVICE).exit_code == 2
        promote(store, *make_release(home, "3"))
        assert models.served == {"model": "svc-release:3"}
        status = read_status(store)
        assert status.problems == ()
        assert status.notes == ("1 line(s) of the journal cannot be read: rollback skips them.",)


@pytest.mark.parametrize(
    "line",
    ["", '{"format": 1, "sequ', "}{", NESTED, '{"kept": "x"}', '{"kept": Infinity}', '{"kept": 1e400}', "null", "7"],
)
def test_partial_journal_line_affects_no_other_line(store: ActiveStore, home: Path, line: str) -> None:
    journal = store.folder / "journal.jsonl"
    with journal.open("a") as file:
        file.write(line)  # without its end: its writer was killed
    with worker(store) as models:
        promote(store, *make_release(home, "3"))
        assert store.history().last == store.read().state
        rollback(store)
        assert models.served == {"model": "svc-release:2"}
        rollback(store)
        assert models.served == {"model": "svc-release:1"}


@pytest.mark.parametrize("damage", ["gone", "a folder"])
def test_rollback_without_a_journal_returns_to_the_own_model(store: ActiveStore, damage: str) -> None:
    DAMAGE[damage](store.folder / "journal.jsonl")
    with worker(store) as models:
        assert models.served == {"model": "svc-release:2"}
        rollback(store)
        assert models.served == {}


@pytest.mark.parametrize(
    "change",
    [
        {"pid": "12\x00"},
        {"pid": True},
        {"server_pid": None},
        {"identity": "../../x"},
        {"serves": []},
        {"fingerprints": "x"},
        {"fallbacks": {"r": 3}},
        {"error": 7},
        {"swap_ms": "fast"},
        {"loading": [3]},
    ],
    ids=str,
)
def test_invalid_worker_file_is_skipped(store: ActiveStore, home: Path, change: dict[str, Any]) -> None:
    with worker(store) as models:
        (path,) = (store.folder / "workers").glob("*.json")
        raw = json.loads(path.read_text())
        path.with_name("7-other.json").write_text(json.dumps({**raw, **change}))
        for command in (["status", SERVICE], ["list"], ["promote", make_release(home, "3")[0].name]):
            assert run(*command).exit_code == 0
        assert models.served == {"model": "svc-release:3"}
    with worker(store) as models:
        assert models.served == {"model": "svc-release:3"}


@pytest.mark.parametrize("arguments", [["promote", "a" * 300 + ":1"], ["status", "語" * 100], ["rollback", "x" * 250]])
def test_impossible_file_name_gives_one_sentence(home: Path, arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.exit_code in (1, 2)
    assert done.output.startswith("Error: ")


def test_unreadable_file_gives_one_sentence(store: ActiveStore, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release, _ = make_release(home, "3")

    def refuse(path: Path) -> str:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("bento_monitor.releases.release_store.sha256_of", refuse)
    done = run("promote", release.name)
    assert done.exit_code == 1
    assert "Permission denied" in done.output


@pytest.mark.parametrize("damage", ["empty", "half", "no text", "nested", "a list", "gone", "a folder"])
def test_damaged_record_is_listed_and_breaks_no_other_command(store: ActiveStore, home: Path, damage: str) -> None:
    bad, folder = make_release(home, "bad")
    record = folder / "release.json"
    DAMAGE[damage](record)
    listed = run("list")
    assert listed.exit_code == 0
    assert "svc-release:1" in listed.output
    if record.is_file():
        assert "damaged" in listed.output
    assert run("promote", bad.name).exit_code in (1, 2)
    assert run("promote", "svc-release:none").exit_code == 2
    assert store.read().state.releases == {"model": "svc-release:2"}


def test_worker_started_on_a_damaged_state_follows_after_its_repair(store: ActiveStore, home: Path) -> None:
    whole = store.path.read_bytes()
    for path in store.folder.glob("*.json*"):
        path.write_text("{")
    with worker(store) as models:
        assert models.served == {}
        store.path.write_bytes(whole)
        wait_until(lambda: models.served == {"model": "svc-release:2"})
        promote(store, *make_release(home, "3"))
        assert models.served == {"model": "svc-release:3"}


def test_worker_loads_a_missing_release_when_it_appears(store: ActiveStore, home: Path) -> None:
    folder = home / "models" / "svc-release" / "2"
    away = folder.rename(home / "away")
    with worker(store) as models:
        assert models.served == {}
        (problem,) = read_status(store).problems
        assert "not on the active state" in problem
        away.rename(folder)
        wait_until(lambda: models.served == {"model": "svc-release:2"})
        wait_until(lambda: read_status(store).problems == ())


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bool], None]]:
    """A switch that makes every write of the store fail as on a full disk."""
    modules: list[Any] = [active_store, worker_state]
    originals = {
        (module, name): getattr(module, name)
        for module in modules
        for name in ("write_atomic", "append_line")
        if hasattr(module, name)
    }
    full = [False]

    def failing(original: Callable[..., object]) -> Callable[..., object]:
        def write(*arguments: object, **options: object) -> object:
            if full[0]:
                raise OSError(errno.ENOSPC, "No space left on device", str(arguments[0]))
            return original(*arguments, **options)

        return write

    for (module, name), original in originals.items():
        monkeypatch.setattr(module, name, failing(original))

    def fill(is_full: bool) -> None:
        full[0] = is_full

    yield fill
    full[0] = False


def test_move_on_a_full_disk_is_followed_and_reported_later(
    store: ActiveStore, home: Path, full_disk: Callable[[bool], None]
) -> None:
    release, folder = make_release(home, "3")
    with worker(store) as models:
        move_to(store, release, folder)
        full_disk(True)
        wait_until(lambda: models.served == {"model": release.name})
        full_disk(False)
        wait_until(lambda: [state.serves for state in live_workers(store.folder)] == [{"model": release.name}])
        wait_until(lambda: store.read().state.position in store.history().kept)


def test_promotion_on_a_full_disk_changes_nothing_and_reports_it(
    store: ActiveStore, home: Path, full_disk: Callable[[bool], None]
) -> None:
    release, _ = make_release(home, "3")
    with worker(store) as models:
        full_disk(True)
        done = run("promote", release.name)
        assert done.exit_code == 2
        assert "disk is full" in done.output
        assert models.served == {"model": "svc-release:2"}
        full_disk(False)
        assert run("promote", release.name).exit_code == 0
        assert models.served == {"model": release.name}


def test_move_during_which_the_disk_fills_is_reported_as_made(
    store: ActiveStore, home: Path, full_disk: Callable[[bool], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    release, folder = make_release(home, "3")
    write = active_store.write_atomic

    def write_and_fill(path: Path, data: str) -> None:
        write(path, data)
        full_disk(True)

    with worker(store) as models:
        monkeypatch.setattr(active_store, "write_atomic", write_and_fill)
        with pytest.raises(ReleaseError, match="is active, but not every worker serves it"):
            promote(store, release, folder, timeout_s=0.5)
        assert store.read().state.releases == {"model": release.name}
        monkeypatch.setattr(active_store, "write_atomic", write)
        full_disk(False)
        assert models.served == {"model": release.name}
        wait_until(lambda: store.read().state.position in store.history().kept)
        promote(store, *make_release(home, "4"))
        rollback(store)
        assert models.served == {"model": release.name}


def test_failed_release_is_rolled_back_when_the_disk_has_space_again(
    store: ActiveStore, home: Path, full_disk: Callable[[bool], None]
) -> None:
    release, folder = make_release(home, "3")
    with worker(store, FakeModels(refuse={release.name: "load"})) as models:
        models.on_prepare = lambda _: full_disk(True)
        move_to(store, release, folder)
        wait_until(lambda: release.name in models.prepared)
        assert models.served == {"model": "svc-release:2"}
        full_disk(False)
        wait_until(lambda: store.read().state.reason == "automatic rollback")
    assert store.read().state.releases == {"model": "svc-release:2"}


def test_unwritable_home_gives_one_sentence_and_the_worker_serves(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    release, _ = make_release(home)
    (home / "home").write_text("a file where a folder should be")
    store = ActiveStore(home / "home", SERVICE)
    with caplog.at_level(logging.WARNING), worker(store) as models:
        assert models.served == {}
        done = run("promote", release.name)
        assert done.exit_code == 1
        assert "BENTO_MONITOR_HOME" in done.output
    assert any("cannot be written" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("gone", ["workers", "lock", "."])
def test_folders_that_disappear_under_a_worker_are_recreated(store: ActiveStore, home: Path, gone: str) -> None:
    with worker(store) as models:
        path = store.folder / gone
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        assert run("promote", make_release(home, "3")[0].name).exit_code == 0
        wait_until(lambda: models.served == {"model": "svc-release:3"})
        promote(store, *make_release(home, "4"))
        wait_until(lambda: models.served == {"model": "svc-release:4"})


def test_leftovers_of_a_killed_writer_are_not_read(store: ActiveStore) -> None:
    (store.folder / f".active.json.{os.getpid():08x}.tmp").write_text("{")
    (store.folder / "workers").mkdir(exist_ok=True)
    (store.folder / "workers" / "12-x.json").write_text('{"pid": ')
    assert run("status", SERVICE).exit_code == 0
