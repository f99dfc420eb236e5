"""`to_asgi()` works like stock's: the application can be extended, used in a process, reused, and leaves no traces."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parent / "context" / "in_process.py"


def used(arm: str, home: Path, **variables: str) -> Any:
    environment = {**os.environ, "BENTO_MONITOR_HOME": str(home / "monitor"), "BENTOML_HOME": str(home), **variables}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), arm], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    "variables", [{}, {"BENTO_MONITOR_FAST_PATH": "false"}, {"BENTO_MONITOR_TRACING": "false"}], ids=str
)
def test_application_in_a_process_works_like_stocks(tmp_path: Path, variables: dict[str, str]) -> None:
    stock, ours = used("stock", tmp_path), used("ours", tmp_path, **variables)
    assert ours == stock
    assert ours["found"] == ["1", "2", "[3]", "7"]
    assert ours["seen"] == ["lifespan", *["http"] * 4, "lifespan"][: len(ours["seen"])]
    assert ours["seen"].count("http") == 4
    assert ours["is_left_as_it_was"]
