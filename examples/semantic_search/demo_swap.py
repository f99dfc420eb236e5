"""The demo's live swap: a promotion under constant load, and its effect on requests."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from bento_monitor.lab.loadgen import LoadResult, LoadSpec, run_load, start_load, summarize

CONNECTIONS = 32
BEFORE_S = 30.0
AFTER_S = 5.0
SEED = 0


@dataclass(frozen=True, slots=True)
class SwapReport:
    """Requests from the call of `promote` to 5 s after the last worker reported."""

    requests: int
    failed: int
    slowest_ms: float
    slowest_before_ms: float
    rate_rps: float
    workers: int
    workers_on_release: int


def capacity_rps(port: int, bodies: Path, duration_s: float) -> float:
    """Return the requests per second under a closed load of 32 connections."""
    spec = LoadSpec(
        port=port,
        path="/embed",
        bodies=bodies,
        mode="closed",
        connections=CONNECTIONS,
        duration_s=duration_s,
        warmup_s=3.0,
        seed=SEED,
    )
    return summarize(run_load(spec)).rps


def swap_under_load(port: int, bodies: Path, release: str, rate_rps: float) -> SwapReport:
    """Promote a release under an open load with a constant rate, independent of the server."""
    spec = LoadSpec(
        port=port, path="/embed", bodies=bodies, mode="open", arrivals="constant", rate_rps=rate_rps, seed=SEED
    )
    with start_load(spec) as load:
        time.sleep(BEFORE_S)
        called_ns = time.monotonic_ns()
        promoted = _promote(release)
        time.sleep(AFTER_S)
        ended_ns = time.monotonic_ns()
        result = load.stop()
    workers: list[dict[str, Any]] = promoted["workers"]
    during = _rows(result, called_ns, ended_ns)
    before = _rows(result, called_ns - int(BEFORE_S * 1e9), called_ns)
    return SwapReport(
        requests=int(during.sum()),
        failed=int((during & (result.status // 100 != 2)).sum()),
        slowest_ms=_slowest_ms(result, during),
        slowest_before_ms=_slowest_ms(result, before),
        rate_rps=rate_rps,
        workers=len(workers),
        workers_on_release=sum(release in worker["serves"].values() for worker in workers),
    )


def answers_alone(port: int, bodies: Sequence[bytes]) -> list[np.ndarray]:
    """Return the answer to each body. Requests are sent one after another, so that none shares a batch."""
    spec = LoadSpec(
        port=port,
        path="/embed",
        bodies=tuple(bodies),
        mode="closed",
        connections=1,
        request_count=len(bodies),
        seed=SEED,
        keep_every=1,
    )
    result = run_load(spec)
    found = {int(result.body_index[row]): body for row, body in result.responses.items()}
    return [np.asarray(json.loads(found[index])[0], dtype=np.float32) for index in range(len(bodies))]


def _promote(release: str) -> dict[str, Any]:
    command = [str(Path(sys.executable).with_name("bento-monitor")), "release", "promote", release, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"The release was not promoted: {done.stderr.strip()}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _rows(result: LoadResult, start_ns: int, end_ns: int) -> np.ndarray:
    return (result.planned_ns >= start_ns) & (result.planned_ns < end_ns)


def _slowest_ms(result: LoadResult, rows: np.ndarray) -> float:
    return float((result.done_ns - result.planned_ns)[rows].max()) / 1e6
