"""Another commit of ours to compare with: its files in a worktree, and its packages in an environment of their own.

Both are made once for each commit, and kept in the user's cache.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent


def python_of(commit: str) -> Path:
    """The Python that has that commit of ours installed, from its files and with the versions of its constraints.txt.

    Ends with one sentence where there is no such commit.
    """
    found = _git("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}")
    if found.returncode:
        raise SystemExit(f"There is no commit {commit} here: give one that `git log` names.")
    name = found.stdout.strip()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "bento-monitor" / f"against-{name}"
    python, is_whole = folder / ".venv" / "bin" / "python", folder / ".venv" / ".installed"
    if not is_whole.exists():
        print(f"Installing commit {name} into {folder}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        _git("worktree", "prune")
        _git("worktree", "add", "--detach", str(folder), name).check_returncode()
        uv = str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder / ".venv")], check=True)
        constraints = str(folder / "constraints.txt")
        install = [uv, "pip", "install", "--quiet", "--python", str(python), "-c", constraints, "-e", str(folder)]
        subprocess.run(install, check=True)
        is_whole.touch()
    return python


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], cwd=_ROOT, capture_output=True, text=True, check=False)
