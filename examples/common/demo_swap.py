"""The demo's live swap: a promotion under constant load, and its effect on requests and answers."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from bento_monitor.lab.loadgen import LoadResult, LoadSpec, run_load, start_load, summarize
from bento_monitor.lab.loadgen.packing import read_bodies
from bento_monitor.lab.model_host.answer_values import Answers, collect_values, value_of

from example_run import COMMAND

CONNECTIONS = 32
BEFORE_S = 15.0
AFTER_S = 5.0
SEED = 0


@dataclass(frozen=True, slots=True)
class SwapReport:
    """Requests from the call of `promote` to some seconds after the last worker reported."""

    requests: int
    failed: int
    slowest_ms: float
    slowest_before_ms: float
    rate_rps: float
    workers: int
    workers_on_release: int


@dataclass(frozen=True, slots=True)
class ApiLoad:
    """Where requests are sent, and which: `bodies` is a file that `write_bodies` wrote."""

    port: int
    path: str
    bodies: Path
    content_type: str

    def closed(self, connections: int, **options: Any) -> LoadSpec:
        """Return a closed load; `options` are other fields of the specification, among them when it ends."""
        return self._spec(mode="closed", connections=connections, **options)

    def open(self, rate_rps: float) -> LoadSpec:
        """Return an open load with a constant rate, independent of the server, until it is stopped."""
        return self._spec(mode="open", connections=CONNECTIONS, arrivals="constant", rate_rps=rate_rps)

    def _spec(self, **options: Any) -> LoadSpec:
        headers = (("Content-Type", self.content_type),)
        fields = {"port": self.port, "path": self.path, "bodies": self.bodies, "headers": headers, "seed": SEED}
        return LoadSpec(**{**fields, **options})


def capacity_rps(load: ApiLoad, duration_s: float) -> float:
    """Return the requests per second under a closed load of 32 connections."""
    return summarize(run_load(load.closed(CONNECTIONS, duration_s=duration_s, warmup_s=3.0))).rps


def swap_under_load(
    load: ApiLoad, release: str, rate_rps: float, before_s: float = BEFORE_S, after_s: float = AFTER_S
) -> SwapReport:
    """Promote a release under an open load with a constant rate, which lasts from `before_s` to `after_s` around it."""
    with start_load(load.open(rate_rps)) as running:
        time.sleep(before_s)
        called_ns = time.monotonic_ns()
        promoted = _promote(release)
        time.sleep(after_s)
        ended_ns = time.monotonic_ns()
        result = running.stop()
    workers: list[dict[str, Any]] = promoted["workers"]
    during = _rows(result, called_ns, ended_ns)
    before = _rows(result, called_ns - int(before_s * 1e9), called_ns)
    return SwapReport(
        requests=int(during.sum()),
        failed=int((during & (result.status // 100 != 2)).sum()),
        slowest_ms=_slowest_ms(result, during),
        slowest_before_ms=_slowest_ms(result, before),
        rate_rps=rate_rps,
        workers=len(workers),
        workers_on_release=sum(release in worker["serves"].values() for worker in workers),
    )


def answers_alone(load: ApiLoad, rows: Sequence[int]) -> Answers:
    """Return the answers to some of the bodies. Requests are sent one after another, so that none shares a batch."""
    bodies = read_bodies(load.bodies)
    chosen = tuple(bodies[row] for row in rows)
    result = run_load(load.closed(1, bodies=chosen, request_count=len(chosen), keep_every=1))
    found = {int(result.body_index[row]): body for row, body in result.responses.items()}
    return collect_values([value_of(found[index]) for index in range(len(chosen))])


def largest_difference(left: Any, right: Any, varying: Sequence[str] = ()) -> float:
    """Return the largest difference of two answers, or of two lists of answers.

    Numbers differ by their distance; what is not a number differs by infinity, or not at all. The fields `varying` of a
    dict are not compared.
    """
    if isinstance(left, dict) and isinstance(right, dict) and left.keys() == right.keys():
        pairs = [(value, right[name]) for name, value in left.items() if name not in varying]
        return max((largest_difference(*pair, varying) for pair in pairs), default=0.0)
    if isinstance(left, np.ndarray) and isinstance(right, np.ndarray) and left.dtype.kind in "biuf":
        is_alike = left.shape == right.shape and right.dtype.kind in "biuf"
        return float(np.abs(left.astype(np.float64) - right).max(initial=0.0)) if is_alike else np.inf
    if isinstance(left, list | np.ndarray) and isinstance(right, list | np.ndarray) and len(left) == len(right):
        return max((largest_difference(*pair, varying) for pair in zip(left, right, strict=True)), default=0.0)
    if isinstance(left, int | float) and isinstance(right, int | float):
        return abs(left - right)
    return 0.0 if left == right else np.inf


def _promote(release: str) -> dict[str, Any]:
    command = [COMMAND, "release", "promote", release, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"The release was not promoted: {done.stderr.strip()}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _rows(result: LoadResult, start_ns: int, end_ns: int) -> np.ndarray:
    return (result.planned_ns >= start_ns) & (result.planned_ns < end_ns)


def _slowest_ms(result: LoadResult, rows: np.ndarray) -> float:
    return float((result.done_ns - result.planned_ns)[rows].max()) / 1e6
