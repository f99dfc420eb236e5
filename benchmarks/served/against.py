"""Another commit of ours to compare with: its files in a worktree, and its packages in an environment of their own.

Both are made once for each commit, and kept in the user's cache.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from served.installed import cache_folder, made_environment

_ROOT = Path(__file__).resolve().parent.parent.parent


def python_of(commit: str) -> Path:
    """The Python that has that commit of ours installed, from its files and with the versions of its constraints.txt.

    Ends with one sentence where there is no such commit.
    """
    found = _git("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}")
    if found.returncode:
        raise SystemExit(f"There is no commit {commit} here: give one that `git log` names.")
    name = found.stdout.strip()[:12]
    folder = cache_folder() / f"against-{name}"
    if not (folder / "pyproject.toml").exists():
        _git("worktree", "prune")
        _git("worktree", "add", "--force", "--detach", str(folder), name).check_returncode()
    return made_environment(folder / ".venv", folder / "constraints.txt", "-e", str(folder))


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], cwd=_ROOT, capture_output=True, text=True, check=False)
