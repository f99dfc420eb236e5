"""The report of the demo: a table for readers, and a JSON file for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bento_monitor.resilience.atomic_files import write_atomic
from rich.console import Console
from rich.table import Table

from demo_swap import BEFORE_S


def print_report(console: Console, title: str, report: Mapping[str, Any]) -> None:
    """Print a table of the figures before and after, and of the swap."""
    low, high = report["speedup_ci95"]
    table = Table("", "before", "after", "", title=f"{title}: stock BentoML, and bento-monitor after the swap")
    table.add_row(
        "requests per second",
        f"{report['baseline_rps']:.1f}",
        f"{report['optimized_rps']:.1f}",
        f"{report['speedup']:.2f} times, 95 % interval [{low:.2f}, {high:.2f}]",
    )
    table.add_row("  on the swapped server", "", f"{report['after_swap_rps']:.1f}", "same process, new release")
    table.add_row(
        report["metric"],
        f"{report['baseline_accuracy']:.4f}",
        f"{report['optimized_accuracy']:.4f}",
        f"drop at most {report['accuracy_drop_upper95']:.4f} (95 %), {report['accuracy_tolerance']:g} allowed",
    )
    for name, before in report["field"]["baseline"].items():
        table.add_row(f"  {name}", f"{before:.4g}", f"{report['field']['optimized'][name]:.4g}", "")
    if report["goodput_slo"] is not None:
        table.add_row(
            "requests a minute, one worker",
            f"{report['goodput_per_minute_before_swap']:.0f}",
            f"{report['goodput_per_minute_after_swap']:.0f}",
            f"at {report['goodput_slo']}, random arrivals, this server before and after the swap",
        )
    table.add_row(
        f"{report['batch_dependence_measure']}, batched to alone",
        f"{report['baseline_batch_dependence']:.4f}",
        f"{report['batch_dependence']:.4f}",
        "how much other rows of a batch change an answer",
    )
    table.add_row(
        "slowest request, ms",
        f"{report['slowest_before_swap_ms']:.0f}",
        f"{report['slowest_during_swap_ms']:.0f}",
        f"in the {BEFORE_S:g} s before the swap, and during it",
    )
    table.add_row(
        "requests failed during the swap",
        "",
        str(report["failed_during_swap"]),
        f"of {report['requests_during_swap']}; {report['workers_on_release']} of {report['workers']} worker(s) swapped",
    )
    console.print(table)


def write_report(path: Path, report: Mapping[str, Any]) -> None:
    """Write the report as JSON, atomically."""
    write_atomic(path, json.dumps(report, indent=2) + "\n")


def problems_of(report: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each failed check. Speed is reported but not checked, because it depends on the machine."""
    is_accurate = report["accuracy_drop_upper95"] <= report["accuracy_tolerance"]
    lost = [] if is_accurate else ["The accuracy may have dropped by more than the tolerance."]
    return lost + swap_problems_of(report)


def swap_problems_of(report: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each failed check of the swap."""
    difference, tolerance = report["answers_after_swap_max_abs_difference"], report["answers_after_swap_tolerance"]
    checks = {
        f"{report['failed_during_swap']} requests failed during the swap.": report["failed_during_swap"] == 0,
        f"{report['workers_on_release']} of {report['workers']} workers serve the release.": (
            report["workers_on_release"] == report["workers"] > 0
        ),
        f"An answer after the swap differs by {difference:.2g} from the release's own answer.": difference <= tolerance,
    }
    return [sentence for sentence, holds in checks.items() if not holds]
