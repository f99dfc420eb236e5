"""`kill -9` at every write and rename of a move: the next start serves the old or the new, and no command fails."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import killed_move
import pytest
from click.testing import CliRunner
from releasing import SERVICE, make_release, script_environment, worker

from bento_monitor.cli import main
from bento_monitor.releases.active_store import ActiveStore
from bento_monitor.releases.promotion import promote

SCRIPT = Path(killed_move.__file__)
# The release served before each move, and after it.
MOVES = {
    "promote": ("svc-release:2", "svc-release:3"),
    "rollback": ("svc-release:2", "svc-release:1"),
    "undo": ("svc-release:2", "svc-release:1"),
    "keep": ("svc-release:2", "svc-release:2"),
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path))
    monkeypatch.setenv("BENTO_MONITOR_HOME", str(tmp_path / "home"))
    return tmp_path


def killed(home: Path, move: str, kill_at: int) -> int | None:
    """Make the move in a process that is killed at one call; return the number of calls if it finished."""
    folder = home / "models" / "svc-release" / "3"
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(home / "home"), move, str(folder), str(kill_at)],
        env=script_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == -9:
        return None
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.parametrize("move", MOVES)
def test_start_after_a_kill_serves_old_or_new_and_no_command_fails(home: Path, move: str) -> None:
    store = ActiveStore(home / "home", SERVICE)
    with worker(store):
        promote(store, *make_release(home, "1"))
        if move != "keep":
            promote(store, *make_release(home, "2"))
    if move == "keep":  # the release is active, and no worker has served it yet
        promote(store, *make_release(home, "2"))
    make_release(home, "3")
    shutil.copytree(home / "home", home / "as-it-was")
    calls, kill_at, served = None, 0, set()
    while calls is None:
        kill_at += 1
        shutil.rmtree(home / "home")
        shutil.copytree(home / "as-it-was", home / "home")
        calls = killed(home, move, kill_at)
        with worker(store) as models:
            served.add(models.served["model"])
            assert models.served["model"] in MOVES[move]
            for command in (["list"], ["status", SERVICE], ["promote", "svc-release:3"], ["rollback", SERVICE]):
                done = CliRunner().invoke(main, ["release", *command])
                assert done.exit_code == 0, (kill_at, command, done.output, done.exception)
            # The rollback skips releases that were not noted as kept.
            assert models.served["model"] in (*MOVES[move], *(("svc-release:1",) if move == "keep" else ()))
    assert calls == kill_at - 1
    assert calls > 3
    assert served == set(MOVES[move])
