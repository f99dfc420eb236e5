"""The section that measures a worker's memory growth over a million requests, on both paths at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from result import Figure
from served.arms import BENTOML_PATH, OURS, Arm, start_arms
from served.check import plain_workload
from served.sections import Part
from wrk import run_block

GOAL_MIB = 5.0
WARM_UP_REQUESTS = 50_000
_BLOCK_S = 10
_CONNECTIONS = 16


def measure_memory(requests: int) -> Part:
    """Load both paths until each has answered `requests`; at most a quarter of them are the warm-up."""
    with start_arms([OURS, BENTOML_PATH]) as arms, ThreadPoolExecutor(len(arms)) as pool:
        found = list(pool.map(lambda arm: _grow(arm, requests), arms.values()))
    names = ("fast_path", "bentoml_path")
    growth = {name: each[-1][1] - each[0][1] for name, (each, _) in zip(names, found, strict=True)}
    largest = max(growth.values())
    figures = {
        "rss_growth_mib": Figure(largest, "MiB", None, f"<= {GOAL_MIB:g}", largest <= GOAL_MIB),
        **{f"rss_growth_mib_{name}": Figure(value, "MiB") for name, value in growth.items()},
    }
    failed = sum(blocks for _, blocks in found)
    series = {name: each for name, (each, _) in zip(names, found, strict=True)}
    return Part(figures, {"requests_and_rss_mib": series, "failed_blocks": failed})


def _grow(arm: Arm, requests: int) -> tuple[list[tuple[int, float]], int]:
    """Return the memory after the warm-up and after each block since, and how many blocks had failures."""
    warm_up = min(WARM_UP_REQUESTS, requests // 4)
    series: list[tuple[int, float]] = []
    answered = counted = failed_blocks = 0
    while counted < requests:
        seconds = _BLOCK_S if requests >= WARM_UP_REQUESTS else 1
        workload = plain_workload("noop")
        url = f"http://127.0.0.1:{arm.port}{workload.path}"
        block = run_block(url, workload.bodies, _CONNECTIONS, seconds, cpu_seconds=arm.cpu_seconds)
        if block.requests == 0:
            raise RuntimeError(f"{arm.name} stopped answering after {answered} requests.")
        answered += block.requests
        failed_blocks += block.failed > 0
        if answered < warm_up:
            continue
        counted = counted + block.requests if series else 0
        series.append((counted, arm.rss_mib()))
        print(f"memory      {arm.name:18} {counted:8} requests  {series[-1][1]:7.1f} MiB", flush=True)
    return series, failed_blocks
