"""`make bench-space`: what the optimizer finds in minutes against a brute force over its in-process space."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from result import RESULTS, Figure, write_result
from served.figures import ratio_of

sys.path.append(str(Path(__file__).resolve().parents[1] / "examples" / "common"))
from space.grid import measure_space
from workloads.releases import Workload, all_workloads

from bento_monitor.resilience.atomic_files import write_atomic

NAMES = {
    "semantic_search-embed": "semantic_search",
    "digits-classify": "digits",
    "loan_approval-decide_by_network": "loans_mlp",
    "loan_approval-decide": "loans_trees",
    "machine_failure-watch_pump": "machine_failure",
    "court_transcription-transcribe": "whisper_encoder",
}
MIN_OVER_BRUTE = 0.95
PARTS = RESULTS / "space-parts"


def main() -> int:
    """Measure every workload that has no stored part yet, or those that `--only` names, and write the result."""
    parser = argparse.ArgumentParser(description="Compare what the optimizer finds with a brute force.")
    parser.add_argument("--only", default="", help="Names of workloads, with commas.")
    parser.add_argument("--anew", action="store_true", help="Measure again what was measured before.")
    arguments = parser.parse_args()
    only = set(filter(None, arguments.only.split(",")))
    parts: dict[str, dict[str, Any]] = {}
    for workload in all_workloads():
        name = NAMES[workload.key]
        if not only or name in only:
            parts[name] = _part(name, workload, anew=arguments.anew)
    write_result("space", figures_of(parts), parts)
    return 0


def _part(name: str, workload: Workload, *, anew: bool) -> dict[str, Any]:
    path = PARTS / f"{name}.json"
    if anew or not path.is_file():
        print(f"==> {name}", flush=True)
        write_atomic(path, json.dumps(asdict(measure_space(workload)), indent=1) + "\n")
    stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return stored


def figures_of(parts: Mapping[str, Mapping[str, Any]]) -> dict[str, Figure]:
    """Return the figures of each workload."""
    figures: dict[str, Figure] = {}
    for name, part in parts.items():
        blocks = part["blocks"]
        over_brute = ratio_of([math.log(f / b) for f, b in zip(blocks["found"], blocks["brute"], strict=True)])
        assert over_brute.ci95 is not None
        is_met = over_brute.ci95[0] >= MIN_OVER_BRUTE
        figures[f"found_over_brute_{name}"] = Figure(
            over_brute.value, over_brute.unit, over_brute.ci95, f"lower end >= {MIN_OVER_BRUTE:g}", is_met
        )
        figures[f"best_over_eager_{name}"] = ratio_of(
            [math.log(f / e) for f, e in zip(blocks["found"], blocks["eager"], strict=True)]
        )
        figures[f"metric_drop_upper95_{name}"] = Figure(part["accuracy"]["upper"], "metric")
        figures[f"found_s_{name}"] = Figure(part["found_s"], "s")
        figures[f"configurations_{name}"] = Figure(len(part["grid"]), "executions")
    return figures


if __name__ == "__main__":
    sys.exit(main())
