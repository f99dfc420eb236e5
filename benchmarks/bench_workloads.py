"""`make bench-workloads`: each example as its field writes it on stock BentoML, against ours with its release."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from result import Figure, write_result
from served.figures import ratio_of

sys.path.append(str(Path(__file__).resolve().parents[1] / "examples" / "common"))
from workloads.court import measure_stream
from workloads.releases import Released, all_workloads, find_release
from workloads.served import AGAIN, OURS, STOCK, Measured, measure

BLOCKS, BLOCK_S = 10, 5.0
COURT = "court_transcription"


def main() -> int:
    """Measure every workload, or those that `--only` names, and write the result."""
    parser = argparse.ArgumentParser(description="Measure each example on stock BentoML and with its release.")
    parser.add_argument("--only", default="", help="Names of workloads, with commas.")
    parser.add_argument("--blocks", type=int, default=BLOCKS)
    parser.add_argument("--seconds", type=float, default=BLOCK_S)
    arguments = parser.parse_args()
    only = set(filter(None, arguments.only.split(",")))
    chosen = [each for each in all_workloads() if not only or each.name in only]
    measured: dict[str, list[tuple[Released, Measured]]] = {}
    for workload in chosen:
        found = find_release(workload)
        measured.setdefault(workload.name, []).append((found, measure(found, arguments.blocks, arguments.seconds)))
    figures = figures_of(measured)
    raw: dict[str, Any] = {found.workload.key: raw_of(found, own) for each in measured.values() for found, own in each}
    if COURT in measured:
        streamed = measure_stream(measured[COURT][0][0])
        figures |= streamed.figures()
        raw["stream"] = asdict(streamed)
    write_result("workloads", figures, raw)
    return 0


def figures_of(measured: dict[str, list[tuple[Released, Measured]]]) -> dict[str, Figure]:
    """Return the figures of each workload, and those of all together."""
    figures: dict[str, Figure] = {}
    every: list[Sequence[float]] = []
    for name, parts in measured.items():
        speedups = [log_ratios(own, OURS) for _, own in parts]
        mean = np.mean(speedups, axis=0).tolist()
        every.append(mean)
        figures[f"speedup_{name}"] = ratio_of(mean)
        if len(parts) > 1:
            for (found, _), logs in zip(parts, speedups, strict=True):
                figures[f"speedup_{name}_{found.workload.example.api}"] = ratio_of(logs)
        again = np.mean([log_ratios(own, AGAIN) for _, own in parts], axis=0)
        figures[f"aa_ratio_{name}"] = ratio_of(again.tolist())
        worst = max((own.accuracy for _, own in parts), key=lambda accuracy: accuracy.upper)
        figures[f"metric_drop_upper95_{name}"] = Figure(worst.upper, "metric")
        figures[f"wrong_answers_{name}"] = Figure(sum(count(own, "wrong") for _, own in parts), "responses")
        figures[f"refused_503_{name}"] = Figure(
            sum(block.failures.get("503", 0) for _, own in parts for each in own.blocks.values() for block in each),
            "responses",
        )
    figures["speedup_geomean"] = ratio_of(np.mean(every, axis=0).tolist())
    return figures


def log_ratios(measured: Measured, arm: str) -> list[float]:
    """Return the log-ratio of an arm's rate to stock's, for each round."""
    pairs = zip(measured.blocks[arm], measured.blocks[STOCK], strict=True)
    return [math.log(own.rps / stock.rps) for own, stock in pairs]


def count(measured: Measured, field: str) -> int:
    """Return the sum of a field over all blocks."""
    return sum(int(getattr(block, field)) for blocks in measured.blocks.values() for block in blocks)


def raw_of(found: Released, measured: Measured) -> dict[str, Any]:
    """Return what was measured, and with which release."""
    return {
        "release": found.release,
        "refusal": found.refusal,
        "candidate": found.report.get("candidate"),
        "speedup_of_its_proof": found.report.get("speedup"),
        "accuracy": asdict(measured.accuracy),
        "block_s": measured.block_s,
        "blocks": {arm: [asdict(block) for block in blocks] for arm, blocks in measured.blocks.items()},
    }


if __name__ == "__main__":
    sys.exit(main())
