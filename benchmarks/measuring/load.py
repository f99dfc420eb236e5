"""The load generator against known results: scripted queues and MLPerf's LoadGen; and its own cost."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from measuring.oracles import sojourns
from numpy.typing import NDArray
from result import Figure
from served.arms import ASGI, start_arms

from bento_monitor.lab.loadgen import LoadResult, LoadSpec, run_load
from bento_monitor.resilience.atomic_files import write_atomic

PERCENTILES = (50, 90, 99)
_ERROR_GOALS = {50: 0.02, 90: 0.02, 99: 0.05}
_CLIENT_GOAL_US = 50.0
_CLIENT_RPS = 2000.0
# The way between client and server, up to 0.9 ms on two cores that sleep meanwhile, is less than a fiftieth of it.
_SERVICE_NS = 50_000_000
_LOAD = 0.7
_DELAY_NS = 20_000_000
_DELAY_RPS = 100.0
_STALL_NS = 500_000_000
_STALLED_EVERY = 200
_CONNECTIONS = 16
_HERE = Path(__file__).resolve().parent


def measure_oracles(seconds: float, seed: int) -> tuple[dict[str, Figure], dict[str, Any]]:
    """Measure queues with known sojourn times: exponential and constant service times, and occasional stalls."""
    rate_rps = _LOAD * 1e9 / _SERVICE_NS
    count = round(rate_rps * seconds)
    generator = np.random.default_rng(seed)
    constant = np.full(count, _SERVICE_NS)
    stalls = np.where(np.arange(count) % _STALLED_EVERY == _STALLED_EVERY // 2, _STALL_NS, _SERVICE_NS)
    scripts = {
        "mm1": generator.exponential(_SERVICE_NS, count).astype(np.int64),
        "md1": constant,
        "stalls": stalls,
    }
    found: dict[str, dict[str, Any]] = {}
    for name, services_ns in scripts.items():
        result = _ask_each_once(services_ns, rate_rps, seed)
        expected = sojourns(result.planned_ns.astype(np.float64), services_ns[result.body_index].astype(np.float64))
        measured = (result.done_ns - result.planned_ns).astype(np.float64)
        found[name] = {
            "requests": count,
            "failed": int((result.status != 200).sum()),
            "expected_ns": _percentiles(expected),
            "measured_ns": _percentiles(measured),
            "excess_ns": _percentiles(measured - expected),
            "lag_ns": _percentiles((result.dispatched_ns - result.planned_ns).astype(np.float64)),
        }
    errors = {
        key: max(abs(each["measured_ns"][key] / each["expected_ns"][key] - 1) for each in found.values())
        for key in _names()
    }
    return _error_figures(errors, "oracle"), found


def measure_against_mlperf(seconds: float, seed: int) -> tuple[dict[str, Figure], dict[str, Any]]:
    """Measure one server, which responds after a fixed time, with LoadGen and with our load generator."""
    with _stub(np.full(1, _DELAY_NS), "each") as port:
        done = subprocess.run(
            [sys.executable, str(_HERE / "mlperf.py"), str(port), str(_DELAY_RPS), str(seconds)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"LoadGen exited with {done.returncode}: {done.stderr.strip()[-500:]}")
        theirs = {key: float(value) for key, value in json.loads(done.stdout.splitlines()[-1]).items()}
        spec = LoadSpec(
            port=port,
            path="/f",
            bodies=(b"0",),
            mode="open",
            rate_rps=_DELAY_RPS,
            duration_s=seconds,
            connections=_CONNECTIONS,
            seed=seed,
        )
        result = run_load(spec)
    ours = _percentiles((result.done_ns - result.planned_ns).astype(np.float64))
    errors = {key: abs(ours[key] / theirs[key] - 1) for key in _names()}
    return _error_figures(errors, "loadgen"), {"loadgen_ns": theirs, "ours_ns": ours, "requests": len(result.status)}


def measure_client(seconds: float) -> tuple[dict[str, Figure], dict[str, Any]]:
    """Measure the client's cost per request, closed and at a rate, with a server that does next to nothing."""
    with start_arms([ASGI]) as arms:
        spec = LoadSpec(
            port=arms[ASGI].port,
            path="/null",
            bodies=(b"{}",),
            mode="closed",
            connections=_CONNECTIONS,
            duration_s=seconds,
        )
        closed = run_load(spec)
        opened = run_load(replace(spec, mode="open", rate_rps=_CLIENT_RPS))
    cost_us = {name: each.cpu_s / len(each.status) * 1e6 for name, each in (("closed", closed), ("open", opened))}
    figure = Figure(cost_us["closed"], "us", None, f"<= {_CLIENT_GOAL_US:g}", cost_us["closed"] <= _CLIENT_GOAL_US)
    figures = {"client_cpu_us_per_request": figure, "client_cpu_us_per_request_open": Figure(cost_us["open"], "us")}
    return figures, {"requests": {"closed": len(closed.status), "open": len(opened.status)}, "us": cost_us}


def _ask_each_once(services_ns: NDArray[np.int64], rate_rps: float, seed: int) -> LoadResult:
    with _stub(services_ns, "one") as port:
        return run_load(
            LoadSpec(
                port=port,
                path="/f",
                bodies=tuple(str(number).encode() for number in range(len(services_ns))),
                mode="open",
                rate_rps=rate_rps,
                request_count=len(services_ns),
                connections=_CONNECTIONS,
                seed=seed,
            )
        )


@contextmanager
def _stub(services_ns: NDArray[np.int64], queue: str) -> Iterator[int]:
    with tempfile.TemporaryDirectory(prefix="bench-measuring-") as folder:
        script = Path(folder) / "script.json"
        write_atomic(script, json.dumps({"services_ns": services_ns.tolist(), "queue": queue}))
        command = [sys.executable, str(_HERE / "stub.py"), str(script)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                yield int(process.stdout.readline())
            finally:
                process.kill()


def _percentiles(values: NDArray[np.float64]) -> dict[str, float]:
    found = np.percentile(values, PERCENTILES, method="inverted_cdf")
    return dict(zip(_names(), found.tolist(), strict=True))


def _names() -> Sequence[str]:
    return [f"p{percentile}" for percentile in PERCENTILES]


def _error_figures(errors: Mapping[str, float], against: str) -> dict[str, Figure]:
    return {
        f"p{percentile}_error_{against}": Figure(
            error := errors[f"p{percentile}"],
            "ratio",
            None,
            f"<= {goal:g}",
            math.isfinite(error) and error <= goal,
        )
        for percentile, goal in _ERROR_GOALS.items()
    }
