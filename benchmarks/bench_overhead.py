"""`make bench-overhead`: what tracing costs, on an async no-op and on models of 1 and 5 ms, interleaved in one run."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from statistics import fmean, median

from overhead_arms import (
    AT_0,
    AT_1,
    AT_100,
    NO_LEDGER,
    PATH_AT_100,
    STOCK_OTLP,
    Received,
    SpanCounter,
    environments,
    start_receiver,
)
from result import Figure, write_result
from scipy import stats
from served_arms import STOCK, start_arms
from served_blocks import Plan, Sample, Samples, measure
from served_check import plain_workload
from served_figures import compare, pairs, throughput, total_figures
from served_sections import raw_of
from wrk import require_wrk

_WORKLOADS = {"noop": "noop", "1ms": "model_1ms", "5ms": "model_5ms"}
_ARMS = (STOCK, STOCK_OTLP, NO_LEDGER, AT_0, AT_1, AT_100)
_THROUGHPUT_GOALS = {"noop": 2.0, "1ms": 1.15, "5ms": 1.00}
_CPU_GOALS_US = {"0pct": 25.0, "1pct": 30.0, "100pct": 150.0}
_LEDGER_GOALS = {"noop": 0.45, "bentoml_path": 0.9}
_REQUIRED_SPANS = frozenset({"server", "infer", "serialize"})


def main() -> int:
    """Measure; 0 if every goal was met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=10, help="blocks of each arm (%(default)s)")
    parser.add_argument("--seconds", type=int, default=5, help="length of a block (%(default)s)")
    parser.add_argument("--only", default=",".join(_WORKLOADS), help="workloads, by commas (%(default)s)")
    options = parser.parse_args()
    require_wrk()
    plan, started_s = Plan(options.blocks, options.seconds), time.monotonic()
    found: dict[str, Samples] = {}
    received: dict[str, dict[str, list[Received]]] = {}
    with start_receiver() as endpoint:
        for name in options.only.split(","):
            arms = [*_ARMS, PATH_AT_100] if name == "noop" else list(_ARMS)
            counter = SpanCounter(endpoint)
            with start_arms(arms, environments=environments(endpoint)) as started:
                found[name] = measure(started, plain_workload(_WORKLOADS[name]), plan, counter)
            received[name] = counter.found
    raw = raw_of(found) | {
        "received": {
            name: {arm: [asdict(block) for block in blocks] for arm, blocks in arms.items()}
            for name, arms in received.items()
        }
    }
    figures = {key: figure for name in found for key, figure in figures_of(name, found[name], received[name]).items()}
    figures["spans_received_ratio"] = _received_figure([arms[AT_100] for arms in received.values()], plan.connections)
    write_result("overhead", figures | total_figures({"blocks": raw}), raw)
    print(f"{(time.monotonic() - started_s) / 60:.1f} minutes in all.")
    return 0 if all(figure.met is not False for figure in figures.values()) else 1


def figures_of(name: str, samples: Samples, received: dict[str, list[Received]]) -> dict[str, Figure]:
    """The figures of one workload."""
    figures = {
        f"throughput_vs_stock_{name}": throughput(samples, STOCK, _THROUGHPUT_GOALS[name], candidate=AT_100),
        f"throughput_vs_stock_otlp_{name}": throughput(samples, STOCK_OTLP, candidate=AT_100),
        f"p50_vs_stock_{name}": compare(samples, AT_100, STOCK, lambda sample: sample.block.p50_ms),
        f"p99_vs_stock_{name}": compare(samples, AT_100, STOCK, lambda sample: sample.block.p99_ms),
    }
    for part, arm in (("0pct", AT_0), ("1pct", AT_1), ("100pct", AT_100)):
        # The goals are those of the no-op, where nothing else hides what tracing takes.
        goal_us = _CPU_GOALS_US[part] if name == "noop" else None
        suffix = "" if name == "noop" else f"_{name}"
        figures[f"cpu_us_added_{part}{suffix}"] = _added_figure(pairs(samples, arm, NO_LEDGER), goal_us)
    figures[f"cpu_us_no_ledger_{name}"] = Figure(median(s.block.cpu_us for s in samples[NO_LEDGER]), "us/request")
    if name == "noop":
        for part, arm in (("noop", AT_100), ("bentoml_path", PATH_AT_100)):
            figures[f"ledger_p50_over_client_p50_{part}"] = _ledger_figure(received[arm], _LEDGER_GOALS[part])
    return figures


def _added_figure(blocks: Sequence[tuple[Sample, Sample]], goal_us: float | None) -> Figure:
    """CPU time a request more than without a ledger, of pairs of blocks."""
    added_us = [left.block.cpu_us - right.block.cpu_us for left, right in blocks]
    mean_us, ci95 = fmean(added_us), None
    if len(added_us) > 2:
        half_us = float(stats.t.ppf(0.975, len(added_us) - 1) * stats.sem(added_us))
        ci95 = (mean_us - half_us, mean_us + half_us)
    if goal_us is None:
        return Figure(mean_us, "us/request", ci95)
    return Figure(mean_us, "us/request", ci95, f"<= {goal_us:g}", mean_us <= goal_us)


def _ledger_figure(blocks: Sequence[Received], goal: float) -> Figure:
    ratios = [block.server_p50_ms / block.client_p50_ms for block in blocks if block.server_p50_ms is not None]
    value = median(ratios) if ratios else 0.0
    return Figure(value, "ratio", None, f">= {goal:g}", value >= goal)


def _received_figure(arms: Sequence[Sequence[Received]], connections: int) -> Figure:
    """Distinct spans over requests answered times spans a request.

    The client does not count the requests, one a connection at most, that were under way when a block ended.
    """
    blocks = [block for found in arms for block in found]
    expected = sum(block.requests * len(block.counts) for block in blocks)
    value = sum(sum(block.counts.values()) for block in blocks) / max(expected, 1)
    is_whole = all(
        block.counts.keys() >= _REQUIRED_SPANS
        and all(0 <= count - block.requests <= connections for count in block.counts.values())
        for block in blocks
    )
    return Figure(value, "ratio", None, "1, but for requests under way at a block's end", is_whole)


if __name__ == "__main__":
    sys.exit(main())
