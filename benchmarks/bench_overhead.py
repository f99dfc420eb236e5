"""`make bench-overhead`: the cost of tracing, on an async no-op and on models of 1 and 5 ms, interleaved in one run."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from statistics import median

from overhead.against import CASES, measure_against
from overhead.arms import (
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
from served.arms import STOCK, start_arms
from served.blocks import Plan, Samples, measure
from served.check import plain_workload
from served.figures import compare, cpu_added, throughput, total_figures
from served.sections import raw_of
from wrk import require_wrk

_WORKLOADS = {"noop": "noop", "1ms": "model_1ms", "5ms": "model_5ms"}
_ARMS = (STOCK, STOCK_OTLP, NO_LEDGER, AT_0, AT_1, AT_100)
_THROUGHPUT_GOALS = {"noop": 2.0, "1ms": 1.15, "5ms": 1.00}
_CPU_GOALS_US = {"0pct": 25.0, "1pct": 30.0, "100pct": 150.0}
_LEDGER_GOALS = {"noop": 0.45, "bentoml_path": 0.9}
_REQUIRED_SPANS = frozenset({"server", "infer", "serialize"})


def main() -> int:
    """Measure; return 0 if every goal was met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=10, help="blocks of each arm (%(default)s)")
    parser.add_argument("--seconds", type=int, default=5, help="length of a block (%(default)s)")
    parser.add_argument(
        "--only", help=f"workloads, separated by commas ({','.join(_WORKLOADS)}; with --against {','.join(CASES)})"
    )
    parser.add_argument(
        "--against", metavar="COMMIT", help="measure only a request's CPU time against that commit: against.json"
    )
    options = parser.parse_args()
    known = list(_WORKLOADS if options.against is None else CASES)
    names = known if options.only is None else options.only.split(",")
    if unknown := set(names) - set(known):
        parser.error(f"--only {','.join(unknown)} is not among {','.join(known)}")
    require_wrk()
    plan, started_s = Plan(options.blocks, options.seconds), time.monotonic()
    if options.against is not None:
        added = measure_against(options.against, plan, names)
        print(f"{(time.monotonic() - started_s) / 60:.1f} minutes in all.")
        return 0 if all(figure.met is not False for figure in added.values()) else 1
    found: dict[str, Samples] = {}
    received: dict[str, dict[str, list[Received]]] = {}
    with start_receiver() as endpoint:
        for name in names:
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
    """Return the figures of one workload."""
    figures = {
        f"throughput_vs_stock_{name}": throughput(samples, STOCK, _THROUGHPUT_GOALS[name], candidate=AT_100),
        f"throughput_vs_stock_otlp_{name}": throughput(samples, STOCK_OTLP, candidate=AT_100),
        f"p50_vs_stock_{name}": compare(samples, AT_100, STOCK, lambda sample: sample.block.p50_ms),
        f"p99_vs_stock_{name}": compare(samples, AT_100, STOCK, lambda sample: sample.block.p99_ms),
    }
    for part, arm in (("0pct", AT_0), ("1pct", AT_1), ("100pct", AT_100)):
        # The goals are for the no-op, where nothing else hides the cost of tracing.
        goal_us = _CPU_GOALS_US[part] if name == "noop" else None
        suffix = "" if name == "noop" else f"_{name}"
        figures[f"cpu_us_added_{part}{suffix}"] = _added(samples, arm, goal_us)
    figures[f"cpu_us_no_ledger_{name}"] = Figure(median(s.block.cpu_us for s in samples[NO_LEDGER]), "us/request")
    if name == "noop":
        for part, arm in (("noop", AT_100), ("bentoml_path", PATH_AT_100)):
            figures[f"ledger_p50_over_client_p50_{part}"] = _ledger_figure(received[arm], _LEDGER_GOALS[part])
    return figures


def _added(samples: Samples, arm: str, goal_us: float | None) -> Figure:
    """Return the CPU time per request added over no ledger; a goal is for its mean."""
    found = cpu_added(samples, arm, NO_LEDGER)
    if goal_us is None:
        return found
    return replace(found, goal=f"<= {goal_us:g}", met=found.value <= goal_us)


def _ledger_figure(blocks: Sequence[Received], goal: float) -> Figure:
    ratios = [block.server_p50_ms / block.client_p50_ms for block in blocks if block.server_p50_ms is not None]
    value = median(ratios) if ratios else 0.0
    return Figure(value, "ratio", None, f">= {goal:g}", value >= goal)


def _received_figure(arms: Sequence[Sequence[Received]], connections: int) -> Figure:
    """Return distinct spans over answered requests times spans per request.

    The client does not count the requests in flight at the end of a block, at most one per connection.
    """
    blocks = [block for found in arms for block in found]
    expected = sum(block.requests * len(block.counts) for block in blocks)
    value = sum(sum(block.counts.values()) for block in blocks) / max(expected, 1)
    is_whole = all(
        block.counts.keys() >= _REQUIRED_SPANS
        and all(0 <= count - block.requests <= connections for count in block.counts.values())
        for block in blocks
    )
    return Figure(value, "ratio", None, "1, except for requests in flight at a block's end", is_whole)


if __name__ == "__main__":
    sys.exit(main())
