"""Figures of blocks measured in turn; a pair with a failed block is left out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, median
from typing import Any

from result import Figure
from scipy import stats
from served.arms import AGAIN, AGAINST, BENTOML_PATH, FASTAPI, INSTALLED, LITSERVE, OFF, OURS, STOCK
from served.blocks import Sample, Samples

from bento_monitor.lab.statistics.paired import Comparison

THROUGHPUT_GOALS = {"noop": 4.0, "embedding": 3.0, "numpy": 3.0, "batched": 3.0}
BARE_GOALS = {"1ms": 0.80, "5ms": 0.90, "semantic_search": 0.90}
LONGEST_PAUSE_MS = 5.0
LARGEST_SHARE = 0.60
_MIN_PAIRS = 3


def rate(sample: Sample) -> float:
    """Return the requests per second."""
    return sample.block.rps


def p99(sample: Sample) -> float:
    """Return the 99th percentile of the latency, in ms."""
    return sample.block.p99_ms


def throughput(samples: Samples, baseline: str, goal: float | None = None, *, candidate: str = OURS) -> Figure:
    """Return the ratio of two arms' rates; a goal is for the lower end of its interval."""
    figure = compare(samples, candidate, baseline, rate)
    if goal is None:
        return figure
    is_met = figure.ci95 is not None and figure.ci95[0] >= goal
    return Figure(figure.value, figure.unit, figure.ci95, f"lower end >= {goal:g}", is_met)


def compare(samples: Samples, candidate: str, baseline: str, value: Callable[[Sample], float]) -> Figure:
    """Return the ratio of two arms' values, by pairs of blocks."""
    return ratio_of([math.log(value(left) / value(right)) for left, right in pairs(samples, candidate, baseline)])


def pairs(samples: Samples, candidate: str, baseline: str) -> list[tuple[Sample, Sample]]:
    """Pair the blocks of two arms that were measured in one round, without pairs of which one failed."""
    every = zip(samples[candidate], samples[baseline], strict=True)
    return [(left, right) for left, right in every if not (left.is_failed or right.is_failed)]


def noop_figures(samples: Samples) -> dict[str, Figure]:
    """Compare every other arm with ours, and stock with itself."""
    itself = throughput(samples, STOCK, candidate=AGAIN)
    holds = itself.ci95 is not None and itself.ci95[0] <= 1 <= itself.ci95[1]
    tail = compare(samples, OURS, STOCK, p99)
    return {
        "throughput_vs_stock_noop": throughput(samples, STOCK, THROUGHPUT_GOALS["noop"]),
        "throughput_vs_stock_as_installed_noop": throughput(samples, INSTALLED),
        "throughput_vs_fastapi_noop": throughput(samples, FASTAPI, 1.0),
        "throughput_vs_litserve_noop": throughput(samples, LITSERVE),
        "throughput_vs_ours_off_noop": throughput(samples, OFF),
        "p99_vs_stock_noop": Figure(tail.value, tail.unit, tail.ci95, "<= 0.10", tail.value <= 0.10),
        "aa_ratio_noop": Figure(itself.value, itself.unit, itself.ci95, "holds 1", holds),
    } | cpu_figures(samples, "noop")


def cpu_figures(samples: Samples, name: str) -> dict[str, Figure]:
    """Return the CPU time per request of all processes, of stock's server and of ours."""
    return {
        f"cpu_us_{arm}_{name}": Figure(median(sample.block.cpu_us for sample in samples[arm]), "us/request")
        for arm in (STOCK, OURS)
    }


def against_figures(samples: Samples, name: str) -> dict[str, Figure]:
    """Compare this commit with another one, if that was measured."""
    if AGAINST not in samples:
        return {}
    return {
        f"throughput_against_{name}": throughput(samples, AGAINST),
        f"cpu_us_over_against_{name}": cpu_added(samples, OURS, AGAINST),
    }


def cpu_added(samples: Samples, candidate: str, baseline: str, goal_us: float | None = None) -> Figure:
    """Return the CPU time per request that an arm adds to another; a goal is for the upper end of its interval."""
    added_us = [left.block.cpu_us - right.block.cpu_us for left, right in pairs(samples, candidate, baseline)]
    mean_us, ci95 = fmean(added_us), None
    if len(added_us) > 2:
        half_us = float(stats.t.ppf(0.975, len(added_us) - 1) * stats.sem(added_us))
        ci95 = (mean_us - half_us, mean_us + half_us)
    if goal_us is None:
        return Figure(mean_us, "us/request", ci95)
    is_met = ci95 is not None and ci95[1] <= goal_us
    return Figure(mean_us, "us/request", ci95, f"upper end <= {goal_us:g}", is_met)


def bare_figure(samples: Sequence[Sample], goal: float | None = None) -> Figure:
    """Return the bare function's CPU time over the server's."""
    ratios = [sample.bare_ratio for sample in samples if sample.bare_ratio is not None and not sample.is_failed]
    figure = ratio_of([math.log(ratio) for ratio in ratios])
    if goal is None:
        return figure
    return Figure(figure.value, figure.unit, figure.ci95, f">= {goal:g}", figure.value >= goal)


def share_figures(samples: Sequence[Samples]) -> dict[str, Figure]:
    """Return the largest share of connections that one worker held in any block."""
    ours, stock = (
        max(sample.largest_share or 0.0 for found in samples for sample in found[arm]) for arm in (OURS, STOCK)
    )
    return {
        "largest_connection_share_2_workers": Figure(
            ours, "ratio", None, f"<= {LARGEST_SHARE:.2f}", 0 < ours <= LARGEST_SHARE
        ),
        "largest_connection_share_2_workers_stock": Figure(stock, "ratio"),
    }


def total_figures(sections: Mapping[str, Any]) -> dict[str, Figure]:
    """Return the figures over all sections, from the raw part of the result."""
    failed = sum(section.get("failed_blocks", 0) for section in sections.values())
    broken = sum("error" in section for section in sections.values())
    figures = {
        "failed_blocks": Figure(failed, "blocks", None, "0", failed == 0),
        "failed_sections": Figure(broken, "sections", None, "0", broken == 0),
    }
    longest = [section["longest_gc_pause_ms"] for section in sections.values() if "longest_gc_pause_ms" in section]
    # With everything off a service runs as if it were not wrapped: its collector is stock's.
    for suffix, arms in (("", (OURS, BENTOML_PATH)), ("_stock", (STOCK,)), ("_ours_off", (OFF,))):
        found = [pauses[arm] for pauses in longest for arm in arms if arm in pauses]
        if found and not suffix:
            goal, is_met = f"<= {LONGEST_PAUSE_MS:g}", max(found) <= LONGEST_PAUSE_MS
            figures["longest_gc_pause_ms"] = Figure(max(found), "ms", None, goal, is_met)
        elif found:
            figures[f"longest_gc_pause_ms{suffix}"] = Figure(max(found), "ms")
    cpu = [section["longest_gc_cpu_ms"] for section in sections.values() if "longest_gc_cpu_ms" in section]
    ours = [pauses[arm] for pauses in cpu for arm in (OURS, BENTOML_PATH) if arm in pauses]
    if ours:
        figures["longest_gc_cpu_ms"] = Figure(max(ours), "ms")
    return figures


def ratio_of(log_ratios: Sequence[float]) -> Figure:
    """Return a ratio from its logarithm in each pair of blocks, with its interval if there are enough pairs."""
    if not log_ratios:
        raise RuntimeError("Every pair of blocks has a failure: there is nothing to compare.")
    if len(log_ratios) < _MIN_PAIRS:
        return Figure(math.exp(fmean(log_ratios)), "ratio")
    comparison = Comparison.from_log_ratios(log_ratios)
    return Figure(comparison.ratio, "ratio", comparison.ci95)
