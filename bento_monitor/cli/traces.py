"""`bento-monitor traces`: the slowest requests, one request as a waterfall, or the delivery of all spans."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import InputError
from ..resilience.printable import printable
from ..settings import require_settings
from ..tracing.export.delivery_report import read_delivery_reports
from ..tracing.store.database import store_path
from ..tracing.store.jaeger_reader import JaegerReader
from ..tracing.store.reader import StoreReader
from ..tracing.store.trace_record import Trace, TraceReader, TraceSummary
from ..tracing.store.waterfall import WaterfallLine, waterfall
from .delivery_table import is_anything_missing, print_delivery_reports

if TYPE_CHECKING:
    from rich.console import Console

_MIN_ID_DIGITS = 8
_ID_DIGITS = 32
# Width of a terminal's line next to the bar, for names, durations and notes.
_LABEL_CHARS = 90
_BAR_CHARS = (24, 60)


@click.command()
@click.argument("trace_id", required=False)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1), help="Number of requests.")
@click.option("--service", help="Only requests to this service.")
@click.option("--slower-than", "slower_than_ms", default=0.0, metavar="MS", help="Only requests that took this long.")
@click.option("--since", "since_minutes", type=click.FloatRange(min=0), metavar="MINUTES", help="Only the latest.")
@click.option("--jaeger", metavar="URL", help="Read from a Jaeger instead of the embedded store.")
@click.option(
    "--delivery-report",
    is_flag=True,
    help="Show how many spans each process has built, exported and dropped; exits with 1 if any are missing.",
)
@click.option("--account", "is_account", is_flag=True, hidden=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def traces(
    trace_id: str | None,
    limit: int,
    service: str | None,
    slower_than_ms: float,
    since_minutes: float | None,
    jaeger: str | None,
    delivery_report: bool,
    is_account: bool,
    as_json: bool,
) -> None:
    """List the slowest requests, or show the one whose trace id begins with TRACE_ID as a waterfall."""
    if is_account:
        click.echo("Warning: --account has been renamed to --delivery-report.", err=True)
    if delivery_report or is_account:
        if trace_id is not None or jaeger is not None:
            raise InputError(
                "--delivery-report covers all spans of this machine's processes: give no TRACE_ID and no --jaeger."
            )
        _show_delivery_reports(require_settings().home, service, as_json)
        return
    path = store_path(require_settings().home)
    reader: TraceReader = StoreReader(path) if jaeger is None else JaegerReader(jaeger)
    if trace_id is not None:
        _show(reader.trace(trace_id), as_json)
        return
    since_ns = time.time_ns() - int(since_minutes * 60e9) if since_minutes is not None else None
    found = reader.slowest(limit, service=service, since_ns=since_ns, slower_than_ns=int(slower_than_ms * 1e6))
    if as_json:
        click.echo(json.dumps([asdict(summary) for summary in found], indent=2))
    elif found:
        print_summaries(_console(), found, whole_ids=jaeger is not None)
    else:
        click.echo(_nothing_found(reader, path if jaeger is None else None))


def _show_delivery_reports(home: Path, service: str | None, as_json: bool) -> None:
    reports = read_delivery_reports(home, service)
    if as_json:
        click.echo(json.dumps([asdict(found) for found in reports], indent=2))
    elif reports:
        print_delivery_reports(_console(), reports)
    else:
        click.echo(f"No process has traced a request yet, or none that keeps its delivery report in {home}.")
    if is_anything_missing(reports):
        raise click.exceptions.Exit(1)


def _nothing_found(reader: TraceReader, path: Path | None) -> str:
    if reader.slowest(1):
        return "No stored request matches: give fewer conditions."
    if path is None:
        return "That Jaeger has no traces since yesterday."
    return (
        f"No traces yet in {path}. Serve with bento-monitor serve MODULE:SERVICE (or put @monitored on the service),"
        " send it a request, and look again. If OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_TRACES_EXPORTER is set for the"
        " server, its traces go there instead."
    )


def _show(trace: Trace, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(asdict(trace), indent=2))
    else:
        print_waterfall(_console(), trace)


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False)


def print_summaries(console: Console, summaries: Sequence[TraceSummary], *, whole_ids: bool = False) -> None:
    """Print a table of requests, with as many digits of the trace ids as tell them apart, or with all digits."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    table.add_column("trace", no_wrap=True)
    for name in ("when", "service", "request", "status"):
        table.add_column(name, no_wrap=name == "when")
    table.add_column("ms", justify="right")
    table.add_column("largest stage")
    digits = _ID_DIGITS if whole_ids else _digits_that_differ({item.trace_id for item in summaries})
    for item in summaries:
        table.add_row(
            Text(printable(item.trace_id[:digits])),
            _when(item.start_ns),
            Text(printable(item.service)),
            Text(printable(item.name)),
            Text(str(item.status_code or "-"), style="red" if item.is_error else ""),
            f"{item.duration_ns / 1e6:.1f}",
            Text(
                f"{printable(item.largest_stage)} {item.largest_stage_ns / 1e6:.1f} ms" if item.largest_stage else "-"
            ),
        )
    console.print(table)
    where = " --jaeger URL" if whole_ids else ""
    console.print(f"Show one as a waterfall: bento-monitor traces TRACE{where}", style="dim")


def _digits_that_differ(trace_ids: set[str]) -> int:
    for digits in range(_MIN_ID_DIGITS, _ID_DIGITS):
        if len({trace_id[:digits] for trace_id in trace_ids}) == len(trace_ids):
            return digits
    return _ID_DIGITS


def print_waterfall(console: Console, trace: Trace) -> None:
    """Print each span of a trace on a line, with a bar at its time; spans of a shared batch are hatched."""
    from rich.table import Table
    from rich.text import Text

    lines = waterfall(trace)
    services = ", ".join(dict.fromkeys(span.service for span in trace.spans))
    console.print(Text(printable(f"trace {trace.trace_id}  {services}  {_when(trace.spans[0].start_ns)}")))
    total_ns = max(1, *(line.start_offset_ns + line.duration_ns for line in lines if not line.is_linked))
    bar_chars = min(max(_BAR_CHARS[0], console.width - _LABEL_CHARS), _BAR_CHARS[1])
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, min_width=bar_chars)
    table.add_column(no_wrap=True, justify="right")
    table.add_column()
    for line in lines:
        style = "red" if line.is_error else "magenta" if line.is_linked else "cyan"
        table.add_row(
            Text(
                "  " * line.depth
                + printable(line.name)
                + (" (linked)" if line.is_linked and line.name == "batch" else "")
            ),
            Text(_bar(line, total_ns, bar_chars, ascii_only=console.options.ascii_only), style=style),
            f"{line.duration_ns / 1e6:.2f} ms",
            Text(printable(line.note), style="dim"),
        )
    console.print(table)


def _bar(line: WaterfallLine, total_ns: int, chars: int, *, ascii_only: bool) -> str:
    solid, hatched = ("#", "=") if ascii_only else ("█", "▒")
    begin = min(max(0, round(line.start_offset_ns * chars / total_ns)), chars - 1)
    end = min(round((line.start_offset_ns + line.duration_ns) * chars / total_ns), chars)
    return " " * begin + (hatched if line.is_linked else solid) * max(1, end - begin)


def _when(start_ns: int) -> str:
    return datetime.fromtimestamp(start_ns / 1e9).astimezone().strftime("%Y-%m-%d %H:%M:%S")
