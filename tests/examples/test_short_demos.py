"""Each example's whole way on a small part of its data: serve, trace, build one artifact, promote it under load."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
DESCRIBED = {path.parent.name: tomllib.loads(path.read_text()) for path in EXAMPLES.glob("*/example.toml")}
WITH_DEMO = sorted(name for name, described in DESCRIBED.items() if described.get("has_demo", True))


@pytest.mark.parametrize("example", WITH_DEMO)
def test_short_demo_promotes_a_release_that_answers_as_it_was_checked(
    example: str, tmp_path: Path, require_tools: Callable[[str], None]
) -> None:
    require_tools(example)
    command = [sys.executable, str(EXAMPLES / "common" / "demo.py"), example, "--short"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 failed." in done.stdout
    assert "queue" in done.stdout  # a waterfall
