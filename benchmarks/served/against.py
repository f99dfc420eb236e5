"""Another commit of this repository to compare with: its files in a worktree, its packages in an environment.

Both are made once per commit and kept in the user's cache.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from served.installed import cache_folder, made_environment

_ROOT = Path(__file__).resolve().parent.parent.parent


def python_of(commit: str) -> Path:
    """Return a Python that has the commit installed, from its files and with the versions of its constraints.txt.

    Exits with one sentence if there is no such commit.
    """
    found = _git("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}")
    if found.returncode:
        raise SystemExit(f"There is no commit {commit} here: give one from `git log`.")
    name = found.stdout.strip()[:12]
    folder = cache_folder() / f"against-{name}"
    if not (folder / "pyproject.toml").exists():
        _git("worktree", "prune")
        _git("worktree", "add", "--force", "--detach", str(folder), name).check_returncode()
    return made_environment(folder / ".venv", folder / "constraints.txt", "-e", str(folder))


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], cwd=_ROOT, capture_output=True, text=True, check=False)
