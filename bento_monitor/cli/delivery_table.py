"""Delivery reports of processes as a table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from ..resilience.printable import printable
from ..tracing.export.delivery_report import ProcessDelivery

if TYPE_CHECKING:
    from rich.console import Console

_STYLES = {"running": "", "stopped": "dim", "lost": "red"}
_COUNTS = ("built", "exported", "dropped", "queued")


def print_delivery_reports(console: Console, reports: Sequence[ProcessDelivery]) -> None:
    """Print a line for each exporter of each process: requests and batches, then spans."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for name in ("process", "service", "state"):
        table.add_column(name, no_wrap=True)
    for name in ("waiting", "refused"):
        table.add_column(name, justify="right")
    table.add_column("exporter")
    for name in _COUNTS:
        table.add_column(name, justify="right")
    table.add_column("last written", no_wrap=True)
    for found in reports:
        report, stats = found.report, found.report.stats
        for exporter in stats.exporters:
            table.add_row(
                str(report.pid),
                Text(printable(report.service)),
                Text(found.state, style=_STYLES[found.state]),
                *_counts(stats.waiting, stats.dropped),
                Text(printable(exporter.name)),
                *_counts(exporter.built, exporter.exported, exporter.dropped, exporter.queued),
                f"{datetime.fromtimestamp(report.written_at_s).astimezone():%Y-%m-%d %H:%M:%S}",
            )
    console.print(table)
    console.print(
        "Waiting and refused count requests and batches, the rest spans: built = exported + dropped + queued.",
        style="dim",
    )
    if any(found.state == "lost" for found in reports):
        console.print(
            "A lost process also lost all waiting and queued items, and items of half a second after its last report.",
            style="dim",
        )


def is_anything_missing(reports: Sequence[ProcessDelivery]) -> bool:
    """Return whether a process dropped spans or requests, or was lost."""
    return any(
        found.state == "lost"
        or found.report.stats.dropped
        or any(exporter.dropped for exporter in found.report.stats.exporters)
        for found in reports
    )


def _counts(*values: int) -> tuple[str, ...]:
    return tuple(str(value) for value in values)
