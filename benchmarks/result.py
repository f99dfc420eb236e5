"""The common format of every benchmark's result, and its table."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bento_monitor.installation import STACK, read_versions
from bento_monitor.machine import read_machine
from bento_monitor.resilience.atomic_files import write_atomic

RESULTS = Path(__file__).parent / "results"
_MIN_COLUMNS = 130  # in a log, where no terminal gives a width


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure. `met` is None without a goal."""

    value: float
    unit: str
    ci95: tuple[float, float] | None = None
    goal: str | None = None
    met: bool | None = None


def write_result(name: str, figures: Mapping[str, Figure], raw: Any) -> Path:
    """Write `benchmarks/results/NAME.json` and print its figures as a table."""
    path = RESULTS / f"{name}.json"
    payload = {
        "name": name,
        "command": " ".join(["python", *sys.argv]),
        "commit": read_commit(),
        "machine": asdict(read_machine()),
        "versions": read_versions(STACK),
        "figures": {key: asdict(figure) for key, figure in figures.items()},
        "raw": raw,
    }
    write_atomic(path, json.dumps(payload, indent=1) + "\n")
    _print(figures)
    return path


def read_result(name: str) -> dict[str, Any] | None:
    """Return what `write_result` last wrote under this name; None if nothing."""
    path = RESULTS / f"{name}.json"
    if not path.exists():
        return None
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result


def read_commit() -> str:
    """Return the commit that is checked out."""
    done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _print(figures: Mapping[str, Figure]) -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("figure", "value", "95 % interval", "unit", "goal", "met"):
        table.add_column(name, no_wrap=True)
    for key, figure in figures.items():
        interval = f"[{figure.ci95[0]:.4g}, {figure.ci95[1]:.4g}]" if figure.ci95 else "-"
        met = {True: "yes", False: "NO", None: "-"}[figure.met]
        table.add_row(key, f"{figure.value:.4g}", interval, figure.unit, figure.goal or "-", met)
    Console(width=max(Console().width, _MIN_COLUMNS)).print(table)
