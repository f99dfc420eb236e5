"""`kill -9` anywhere in a served search: the same command resumes, and loses no trial with an outcome.

Seen before: a kill in `ask` left a trial with half of its parameters in the journal, and each later start raised a
KeyError.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import killed_search
from releasing import script_environment

from optimizers.search.trial_log import TrialLog

SCRIPT = Path(killed_search.__file__)


def kill_searches(folder: Path, mode: str) -> int:
    """Kill searches in another process; return how many were killed."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder), mode],
        env=script_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def require_resumes(log: Path) -> None:
    known = TrialLog(log).measured if log.exists() else []
    search, measured = killed_search.run(log)
    assert search.finished == killed_search.TRIALS
    assert len(measured) == killed_search.TRIALS - len(known)
    assert TrialLog(log).measured[: len(known)] == known
    rates = [entry.rps for entry in search.ranking()]
    assert rates == sorted(rates, reverse=True) != []


def test_search_killed_anywhere_resumes(tmp_path: Path) -> None:
    kills = kill_searches(tmp_path, "everywhere")
    assert kills > 100
    for kill_at in range(1, kills + 1):
        require_resumes(tmp_path / f"{kill_at}.json")


def test_repeatedly_killed_search_finishes(tmp_path: Path) -> None:
    assert kill_searches(tmp_path, "again") > 3
    assert len(TrialLog(tmp_path / "trials.json").measured) == killed_search.TRIALS


def test_outcome_survives_a_kill_before_the_sampler_gets_it(tmp_path: Path) -> None:
    log = tmp_path / "trials.json"
    _, first = killed_search.run(log)
    assert first[:2] == [candidate.name for candidate in killed_search.SEEDS]
    _, again = killed_search.run(log)
    assert again == []
