"""`make bench-served`: stock BentoML, bento-monitor and other frameworks, interleaved in one run.

The sections are in `served/sections.py`, `served/memory.py` and `served/failures.py`; their services are in
`served/plain.py`, `served/search.py`, `served/dependency.py`, `served/fastapi_app.py`,
`served/litserve_app.py` and `served/asgi_app.py`.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from result import Figure, read_commit, read_result, write_result
from served.blocks import WARM_UP_S, Plan
from served.failures import count_dependency_failures, count_differences
from served.figures import total_figures
from served.loads import LOADS, measure_loads
from served.memory import measure_memory
from served.over_bare import LONGEST_S
from served.sections import (
    SHARE_BLOCK_S,
    Part,
    measure_many,
    measure_models,
    measure_noop,
    measure_plain,
    measure_semantic,
)
from wrk import require_wrk

RESULT = "served"


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the benchmark that can run alone. Sections that measure no time run at once."""

    run: Callable[[], Part]
    estimate_s: float
    is_timed: bool = True
    is_default: bool = True


def sections(plan: Plan, requests: int) -> dict[str, Section]:
    """Return all sections, in the order in which they run."""

    def of_blocks(arms: int, *, check_s: float = 0.6, beside_s: float = 0.0, seconds: int = plan.seconds) -> float:
        return arms * (WARM_UP_S + plan.blocks * (seconds + check_s)) + plan.blocks * beside_s

    start_s, checks = 10.0, max(requests // 100, 1)
    bare_s = min(plan.seconds, LONGEST_S)
    more = 0 if plan.against is None else 1
    found = {"noop": Section(partial(measure_noop, plan), start_s + of_blocks(7 + more))}
    for name in ("embedding", "numpy", "batched"):
        found[name] = Section(partial(measure_plain, name, plan), start_s + of_blocks(2 + more))
    return found | {
        "models": Section(partial(measure_models, plan), start_s + 2 * of_blocks(3, check_s=1.0, beside_s=2 * bare_s)),
        "semantic": Section(
            partial(measure_semantic, plan), 3 * start_s + of_blocks(2, check_s=3.0, beside_s=plan.seconds)
        ),
        "many": Section(
            partial(measure_many, plan), 2 * start_s + 2 * of_blocks(2) + of_blocks(2, seconds=SHARE_BLOCK_S)
        ),
        "loads": Section(partial(measure_loads, plan), start_s + (len(LOADS) + 1) * of_blocks(2), is_default=False),
        "memory": Section(partial(measure_memory, requests), start_s + requests / 1500, is_timed=False),
        "dependency": Section(partial(count_dependency_failures, checks), start_s + checks / 100, is_timed=False),
        "differences": Section(partial(count_differences, checks), 3 * start_s + checks / 25, is_timed=False),
    }


def main() -> int:
    """Run the chosen sections and write the result, whatever fails; return 0 if every goal was met."""
    options = read_options()
    require_wrk()
    every = sections(Plan(options.blocks, options.seconds, against=options.against), options.requests)
    chosen = (
        options.only.split(",") if options.only else [name for name, section in every.items() if section.is_default]
    )
    if unknown := set(chosen) - set(every):
        raise SystemExit(f"No section is named {', '.join(sorted(unknown))}: there are {', '.join(every)}.")
    started_s = time.monotonic()
    figures, raw = run_all({name: every[name] for name in every if name in chosen})
    if options.merge:
        figures, raw = merge(figures, raw)
    figures |= total_figures(raw)
    write_result(RESULT, figures, raw)
    print(f"{(time.monotonic() - started_s) / 60:.1f} minutes in all.")
    return 0 if all(figure.met is not False for figure in figures.values()) else 1


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="sections to run, separated by commas; their names are in the printed estimate")
    parser.add_argument("--blocks", type=int, default=10, help="blocks of each arm (%(default)s)")
    parser.add_argument("--seconds", type=int, default=5, help="length of a block (%(default)s)")
    parser.add_argument(
        "--requests",
        type=int,
        default=1_000_000,
        help="of the section memory; dependency and differences use a hundredth (%(default)s)",
    )
    parser.add_argument("--against", metavar="COMMIT", help="also measure that commit of this repository")
    parser.add_argument("--merge", action="store_true", help="keep the other sections of the existing result")
    return parser.parse_args()


def merge(figures: dict[str, Figure], raw: dict[str, Any]) -> tuple[dict[str, Figure], dict[str, Any]]:
    """Add the other sections of the existing result to the new ones."""
    earlier = read_result(RESULT) or {"figures": {}, "raw": {}}
    kept = {name: section for name, section in earlier["raw"].items() if name not in raw and "figures" in section}
    names = [name for section in kept.values() for name in section["figures"]]
    return {name: Figure(**earlier["figures"][name]) for name in names} | figures, kept | raw


def run_all(chosen: Mapping[str, Section]) -> tuple[dict[str, Figure], dict[str, Any]]:
    """Run the timed sections one by one, then the others at once."""
    print_estimate(chosen)
    parts = {name: run(name, section) for name, section in chosen.items() if section.is_timed}
    beside = [name for name, section in chosen.items() if not section.is_timed]
    if beside:
        with ThreadPoolExecutor(len(beside)) as pool:
            parts |= zip(beside, pool.map(lambda name: run(name, chosen[name]), beside), strict=True)
    figures = {key: figure for part in parts.values() for key, figure in part.figures.items()}
    return figures, {name: dict(part.raw) for name, part in parts.items()}


def run(name: str, section: Section) -> Part:
    """Run one section; its failure does not stop the others."""
    started_s = time.monotonic()
    try:
        part = section.run()
    except Exception as error:  # it is counted in the figures
        traceback.print_exc()
        part = Part({}, {"error": f"{type(error).__name__}: {error}"})
    took_s = time.monotonic() - started_s
    print(f"{name}: {took_s:.0f} s", flush=True)
    made = {"figures": list(part.figures), "took_s": took_s, "commit": read_commit(), "arguments": sys.argv[1:]}
    return Part(part.figures, {**part.raw, **made})


def print_estimate(chosen: Mapping[str, Section]) -> None:
    """Print how long each section will take."""
    timed_s = sum(section.estimate_s for section in chosen.values() if section.is_timed)
    beside_s = max((section.estimate_s for section in chosen.values() if not section.is_timed), default=0.0)
    for name, section in chosen.items():
        print(f"{name:12} about {section.estimate_s:4.0f} s{'' if section.is_timed else ', all at once'}")
    print(f"about {(timed_s + beside_s) / 60:.0f} minutes in all", flush=True)


if __name__ == "__main__":
    sys.exit(main())
