"""The section of a batched model under every load, from one client to overload."""

from __future__ import annotations

from dataclasses import asdict, replace
from statistics import median

from result import Figure
from served.arms import OURS, STOCK, Arm, start_arms
from served.blocks import Plan, measure
from served.check import Workload, plain_workload
from served.figures import throughput
from served.sections import Part, raw_of
from wrk import Block, run_block

from bento_monitor.lab.statistics.blocks import interleave
from bento_monitor.lab.statistics.paired import compare_paired

LOADS = (1, 4, 16, 64, 256)
# With 8 rows per batch and 18 ms of CPU time each, twice as many requests as fit within the API's 250 ms.
OVERLOAD = 256
GOAL = 1.0


def measure_loads(plan: Plan) -> Part:
    """Measure the responses per second of ours over stock's at each load; under overload both refuse late requests."""
    with start_arms([STOCK, OURS]) as arms:
        found = {
            f"load_{connections}": measure(arms, plain_workload("batch_model"), replace(plan, connections=connections))
            for connections in LOADS
        }
        refused = _overload(arms, plain_workload("shedding_model"), plan)
    figures = {f"throughput_vs_stock_{name}": throughput(samples, STOCK, GOAL) for name, samples in found.items()}
    rates = {name: [block.rps for block in blocks] for name, blocks in refused.items()}
    figures |= {f"answers_per_s_overload_{name}": Figure(median(each), "1/s") for name, each in rates.items()}
    if min(rates[STOCK]) > 0:
        ratio = compare_paired(rates[OURS], rates[STOCK])
        goal, is_met = f"lower end >= {GOAL:g}", ratio.low >= GOAL
        figures["throughput_vs_stock_overload"] = Figure(ratio.ratio, "ratio", ratio.ci95, goal, is_met)
    overload = {name: [asdict(block) for block in blocks] for name, blocks in refused.items()}
    return Part(figures, {**raw_of(found), "overload": overload})


def _overload(arms: dict[str, Arm], workload: Workload, plan: Plan) -> dict[str, list[Block]]:
    """Measure blocks in which a refusal is not a failure: only answered requests count."""
    found: dict[str, list[Block]] = {name: [] for name in arms}
    for order in interleave(list(arms), plan.blocks, seed=1):
        for name in order:
            url = f"http://127.0.0.1:{arms[name].port}{workload.path}"
            seconds, cpu_seconds = plan.seconds, arms[name].cpu_seconds
            block = run_block(url, workload.bodies, OVERLOAD, seconds, cpu_seconds=cpu_seconds)
            found[name].append(block)
            line = f"{workload.path} {OVERLOAD} {name:18} {block.rps:8.0f} answers/s, {block.failed} refused"
            print(line, flush=True)
    return found
