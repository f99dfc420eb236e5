"""Each example's whole way on a small part of its data: serve, trace, build one artifact, promote it under load."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from example_spec import example_names

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("example", example_names())
def test_short_demo_promotes_a_release_that_answers_as_it_was_checked(
    example: str, tmp_path: Path, require_tools: Callable[[str], None]
) -> None:
    require_tools(example)
    command = [sys.executable, str(EXAMPLES / "common" / "demo.py"), example, "--short"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 failed." in done.stdout
    assert "queue" in done.stdout  # a waterfall
