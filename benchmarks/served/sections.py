"""The sections that measure speed, one after the other: each starts its servers and measures their blocks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from result import Figure
from served.arms import AGAIN, AGAINST, ASGI, FASTAPI, INSTALLED, LITSERVE, OFF, OURS, STOCK, start_arms
from served.blocks import Plan, Samples, measure
from served.check import plain_workload, search_workload
from served.figures import (
    BARE_GOALS,
    THROUGHPUT_GOALS,
    against_figures,
    bare_figure,
    cpu_figures,
    noop_figures,
    share_figures,
    throughput,
)
from served.over_bare import BareBatches, BareModel, start_bare

SHARE_BLOCK_S = 2


@dataclass(frozen=True, slots=True)
class Part:
    """The figures of a section, and for the result the raw data behind them."""

    figures: Mapping[str, Figure]
    raw: Mapping[str, Any] = field(default_factory=dict)


def measure_noop(plan: Plan) -> Part:
    """Measure all arms on the no-op."""
    names = [STOCK, AGAIN, INSTALLED, OURS, OFF, FASTAPI, LITSERVE, *_against(plan)]
    with start_arms(names, against=plan.against) as arms:
        samples = measure(arms, plain_workload("noop"), plan)
    return Part(noop_figures(samples) | against_figures(samples, "noop"), raw_of({"noop": samples}))


def measure_plain(name: str, plan: Plan) -> Part:
    """Measure stock with uvloop and ours on another of the small workloads."""
    with start_arms([STOCK, OURS, *_against(plan)], against=plan.against) as arms:
        samples = measure(arms, plain_workload(name), plan)
    figures = {f"throughput_vs_stock_{name}": throughput(samples, STOCK, THROUGHPUT_GOALS[name])}
    return Part(figures | cpu_figures(samples, name) | against_figures(samples, name), raw_of({name: samples}))


def _against(plan: Plan) -> list[str]:
    return [] if plan.against is None else [AGAINST]


def measure_models(plan: Plan) -> Part:
    """Measure models of 1 and 5 ms of CPU time in a thread: on stock, ours, uvicorn alone, and without a server."""
    figures: dict[str, Figure] = {}
    found: dict[str, Samples] = {}
    with start_arms([STOCK, OURS, ASGI]) as arms, start_bare() as bare:
        for length in ("1ms", "5ms"):
            name = f"model_{length}"
            samples = found[name] = measure(arms, plain_workload(name), plan, BareModel(bare, name, plan.seconds))
            figures[f"served_over_bare_{length}"] = bare_figure(samples[OURS], BARE_GOALS[length])
            figures[f"uvicorn_alone_over_bare_{length}"] = bare_figure(samples[ASGI])
            figures[f"throughput_vs_stock_{name}"] = throughput(samples, STOCK)
            figures |= cpu_figures(samples, name)
    return Part(figures, raw_of(found))


def measure_semantic(plan: Plan) -> Part:
    """Measure the semantic-search example, and its batches without a server."""
    name = "semantic_search"
    targets = {STOCK: "served.search_plain:SemanticSearch", OURS: "served.search:SemanticSearch"}
    with start_arms([STOCK, OURS], targets=targets) as arms, start_bare() as bare:
        workload = search_workload()
        texts = [json.loads(body)["sentences"][0] for body in workload.bodies]
        samples = measure(arms, workload, plan, BareBatches(bare, texts))
    figures = {
        f"served_over_bare_{name}": bare_figure(samples[OURS], BARE_GOALS[name]),
        f"throughput_vs_stock_{name}": throughput(samples, STOCK),
    }
    return Part(figures | cpu_figures(samples, name), raw_of({name: samples}))


def measure_many(plan: Plan) -> Part:
    """Measure the no-op at 64 connections, and with two workers; with these also their shares of the connections."""
    workload, at_64 = plain_workload("noop"), replace(plan, connections=64)
    with start_arms([STOCK, OURS]) as arms:
        one_worker = measure(arms, workload, at_64)
    with start_arms([STOCK, OURS], workers=2) as arms:
        two_workers = measure(arms, workload, at_64)
        few = measure(arms, workload, replace(plan, seconds=min(plan.seconds, SHARE_BLOCK_S)))
    figures = {
        "throughput_vs_stock_noop_64": throughput(one_worker, STOCK),
        "throughput_vs_stock_noop_2_workers": throughput(two_workers, STOCK),
    }
    raw = {"noop_64": one_worker, "noop_2_workers_64": two_workers, "noop_2_workers_16": few}
    return Part(figures | share_figures([two_workers, few]), raw_of(raw))


def raw_of(found: Mapping[str, Samples]) -> dict[str, Any]:
    """Return the samples for the result, and the values that are combined over all sections."""
    every = [(arm, sample) for samples in found.values() for arm, own in samples.items() for sample in own]
    return {
        "samples": {
            name: {arm: [asdict(sample) for sample in own] for arm, own in samples.items()}
            for name, samples in found.items()
        },
        "failed_blocks": sum(sample.is_failed for _, sample in every),
        "longest_gc_pause_ms": _longest((arm, sample.longest_pause_ms) for arm, sample in every),
        "longest_gc_cpu_ms": _longest((arm, sample.longest_pause_cpu_ms) for arm, sample in every),
    }


def _longest(pauses: Iterable[tuple[str, float | None]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for arm, pause_ms in pauses:
        if pause_ms is not None:
            found[arm] = max(found.get(arm, 0.0), pause_ms)
    return found
