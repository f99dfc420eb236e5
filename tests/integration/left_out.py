"""Tests that are meaningless while other processes use the CPU, and are left out then."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

BUSY = "other processes use the CPU"
"""The beginning of the reason for such a skip."""

_RUNS = 3


def run_study(run: Callable[[], subprocess.CompletedProcess[str]]) -> subprocess.CompletedProcess[str]:
    """Run a study, and again if the machine was disturbed, as its error says; the good blocks are kept."""
    for _ in range(_RUNS):
        done = run()
        if "at a quieter time" not in done.stderr:
            return done
    pytest.skip(f"{BUSY}: {done.stderr.strip().splitlines()[-1]}")
