"""`make bench-space`: what the optimizer finds in minutes against a brute force over its in-process space."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from result import Figure, write_result
from served.figures import ratio_of

sys.path += [
    str(Path(__file__).resolve().parents[1] / "examples" / "common"),
    str(Path(__file__).resolve().parent / "wild"),
]
from space.grid import measure_space
from space.subjects import EAGER_GOALS, SpaceSubject, subjects

from bento_monitor.machine import read_cpu_flags
from bento_monitor.resilience.atomic_files import write_atomic

MIN_OVER_BRUTE = 0.95
PARTS = Path(".bento-monitor/space").resolve()


def main() -> int:
    """Measure every model that has no stored part yet, or those that `--only` names, and write the result."""
    parser = argparse.ArgumentParser(description="Compare what the optimizer finds with a brute force.")
    parser.add_argument("--only", default="", help="Names of models, with commas.")
    parser.add_argument("--anew", action="store_true", help="Measure again what was measured before.")
    arguments = parser.parse_args()
    only = set(filter(None, arguments.only.split(",")))
    parts: dict[str, dict[str, Any]] = {}
    for name, prepare in subjects().items():
        if not only or name in only:
            measured = _part(name, prepare, anew=arguments.anew)
        else:
            measured = _stored(name)
        if measured is not None:
            parts[name] = measured
    write_result("space", figures_of(parts), parts)
    return 0


def _part(name: str, prepare: Callable[[Path], SpaceSubject], *, anew: bool) -> dict[str, Any] | None:
    if anew or _stored(name) is None:
        print(f"==> {name}", flush=True)
        PARTS.mkdir(parents=True, exist_ok=True)
        write_atomic(PARTS / f"{name}.json", json.dumps(asdict(measure_space(prepare)), indent=1) + "\n")
    return _stored(name)


def _stored(name: str) -> dict[str, Any] | None:
    path = PARTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


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
        over_eager = ratio_of([math.log(f / e) for f, e in zip(blocks["found"], blocks["eager"], strict=True)])
        if name in EAGER_GOALS:
            figures[f"found_over_eager_{name}"] = _with_goal(over_eager, EAGER_GOALS[name])
        else:
            figures[f"best_over_eager_{name}"] = over_eager
        figures[f"metric_drop_upper95_{name}"] = Figure(part["accuracy"]["upper"], "metric")
        figures[f"found_s_{name}"] = Figure(part["found_s"], "s")
        figures[f"configurations_{name}"] = Figure(len(part["grid"]), "executions")
    return figures


def _with_goal(figure: Figure, goal: float) -> Figure:
    assert figure.ci95 is not None
    if not {"amx_bf16", "avx512_vnni", "avx512_bf16"} <= set(read_cpu_flags() or ()):
        return figure
    return replace(figure, goal=f"lower end >= {goal:g}", met=figure.ci95[0] >= goal)


if __name__ == "__main__":
    sys.exit(main())
