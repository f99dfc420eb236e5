"""Sections that count failures: of calls of a dependency, and of responses that differ from stock's."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from result import Figure
from served.arms import OURS, STOCK, Arm, start_arms
from served.sections import Part

from bento_monitor.lab.loadgen import LoadSpec, run_load

CONCURRENT_CALLS = 24
_ROOT = Path(__file__).resolve().parent.parent.parent
_X = 21


def count_dependency_failures(calls: int) -> Part:
    """Count failed requests to a service that calls another one, on ours and on stock."""
    targets = dict.fromkeys((OURS, STOCK), "served.dependency:Outer")
    with start_arms([OURS, STOCK], targets=targets) as arms:
        failed = {name: _count_failed(arm, calls) for name, arm in arms.items()}
    ours = failed[OURS]
    return Part(
        {
            "failed_dependency_calls": Figure(ours, f"of {calls}", None, "0", ours == 0),
            "failed_dependency_calls_stock": Figure(failed[STOCK], f"of {calls}"),
        },
        {"calls": calls, "concurrent": CONCURRENT_CALLS},
    )


def _count_failed(arm: Arm, calls: int) -> int:
    result = run_load(
        LoadSpec(
            port=arm.port,
            path="/ask",
            bodies=(json.dumps({"x": _X}).encode(),),
            mode="closed",
            connections=CONCURRENT_CALLS,
            request_count=calls,
            keep_every=1,
        )
    )
    right = sum(
        result.status[row] // 100 == 2 and body == str(2 * _X).encode() for row, body in result.responses.items()
    )
    return calls - int(right)


def count_differences(requests: int) -> Part:
    """Run the differential test; if it fails, at least one response, log line or counter differs."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/differential"],
        cwd=_ROOT,
        env=os.environ | {"DIFFERENTIAL_REQUESTS": str(requests)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    found = [int(count) for count in re.findall(r"(\d+) (?:failed|error)", done.stdout.rpartition("\n=")[2])]
    differences = 0 if done.returncode == 0 else max(1, sum(found))
    figures = {"differences": Figure(differences, f"of {requests}", None, "0", differences == 0)}
    return Part(figures, {"requests": requests, "output": done.stdout[-4000:] if differences else ""})
