"""`bento-monitor profile`: a service's throughput, latency, stage times and bottlenecks."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from ..errors import InputError
from ..extras import require_extra
from ..lab.loadgen.slo import parse_slo
from ..lab.profiling.compare import Change, compare_profiles
from ..lab.profiling.profile_file import profile_text, read_profile
from ..lab.profiling.profile_record import LoadPoint, Profile
from ..lab.profiling.render.page import page_of
from ..lab.profiling.render.sentences import (
    bottleneck_of,
    error_texts,
    gpu_texts,
    latency_text,
    operators_text,
    probe_text,
    product_text,
    share_text,
    slo_text,
)
from ..lab.profiling.sweep import SweepSpec, run_sweep
from ..resilience.atomic_files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console

_LOG_COLUMNS = 140
_LARGEST = 4


@click.command()
@click.argument("target", required=False, metavar="MODULE:SERVICE|FILE.py:SERVICE|URL")
@click.option("--api", help="API to profile [default: the only one].")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="JSON bodies, one per line [default: generated from the API's schema].",
)
@click.option(
    "--as",
    "served_as",
    type=click.Choice(["monitored", "stock"]),
    default="monitored",
    show_default=True,
    help="Serve with the monitor's request path, or with BentoML's own.",
)
@click.option("--workers", type=click.IntRange(min=1), help="Number of worker processes [default: the service's own].")
@click.option("--connections", default=16, show_default=True, type=click.IntRange(min=2), help="Concurrent clients.")
@click.option("--seconds", default=8.0, show_default=True, type=click.FloatRange(min=1), help="Duration of each load.")
@click.option("--slo", help="Find the highest rate that meets an SLO, such as p99=50ms.")
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="Write an HTML page with plots.")
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="Write the profile as JSON.")
@click.option(
    "--compare",
    type=click.Path(path_type=Path),
    nargs=2,
    metavar="BEFORE AFTER",
    help="Compare two profiles written by --output.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def profile(
    target: str | None,
    api: str | None,
    data: Path | None,
    served_as: Literal["monitored", "stock"],
    workers: int | None,
    connections: int,
    seconds: float,
    slo: str | None,
    html: Path | None,
    output: Path | None,
    compare: tuple[Path, Path] | None,
    as_json: bool,
) -> None:
    """Measure the throughput and latency of a service under several loads, and find its bottlenecks.

    The service is started for the profile, or already running if a URL is given.
    """
    require_extra("profile", "bento-monitor profile", "scipy")
    from ..lab.diagnosis import diagnose

    if compare is not None:
        _show_changes(compare_profiles(*map(read_profile, compare)), as_json=as_json)
        return
    if target is None:
        raise InputError("There is no service to profile: give module:Service, file.py:Service, a URL, or --compare.")
    parsed_slo = None if slo is None else parse_slo(slo)
    spec = SweepSpec(target, served_as, api, data, workers, connections, seconds, slo=parsed_slo)
    with _progress(spec, quiet=as_json) as on_step:
        found = run_sweep(spec, on_step)
    found = replace(found, findings=diagnose(found))
    if output is not None:
        write_atomic(output, profile_text(found))
    if html is not None:
        write_atomic(html, page_of(found))
    if as_json:
        click.echo(profile_text(found), nl=False)
    else:
        print_profile(_console(), found)


@contextmanager
def _progress(spec: SweepSpec, *, quiet: bool) -> Iterator[Callable[[str], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, quiet=quiet, highlight=False)
    columns = (BarColumn(bar_width=30), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=spec.steps)
        done = itertools.count()

        def on_step(text: str) -> None:
            if console.is_terminal:
                progress.update(task, description=text, completed=next(done))
            else:
                console.print(text, markup=False)

        yield on_step


def _console() -> Console:
    from rich.console import Console

    # A log file has no width, so tables get a fixed one.
    return Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=_LOG_COLUMNS)


def print_profile(console: Console, found: Profile) -> None:
    """Print a table of the loads, the rate of the standalone function, and the bottlenecks.

    Percentiles marked with ~ are of too few requests for a bound. Ratios vary on a busy machine.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for name in ("load", "requests/s", "p50 ms", "p95 ms", "p99 ms", "failed", "cores", "batch", "pause ms", "lag ms"):
        table.add_column(name, justify="left" if name == "load" else "right", no_wrap=True)
    for point in found.points:
        server = point.server
        table.add_row(
            point.name,
            f"{point.throughput_rps:.0f}",
            *(latency_text(each, decimals=1) for each in point.latencies),
            Text(str(point.failed), style="red" if point.failed else ""),
            "-" if server is None else f"{server.cpu_cores:.2f}",
            "-" if point.batch_size is None else f"{point.batch_size:.1f}",
            "-" if server is None else f"{server.pauses.longest_ms:.1f}",
            "-" if server is None else f"{server.longest_lag_ms:.1f}",
        )
    about = f"as {found.served_as}, {found.workers} workers{probe_text(found)}"
    console.print(Text(f"{found.target} {found.path}  {about}"))
    console.print(table)
    console.print(
        "≤ is an upper bound of the latency with 99 % confidence; ~ marks too few requests for a bound.", style="dim"
    )
    for line in error_texts(found.points):
        console.print(Text(line, style="red"))
    for fault in {point.machine.fault for point in found.points} - {None}:
        console.print(Text(f"Warning: {fault}.", style="yellow"))
    if found.capacity.stages:
        console.print(Text(f"Stage times with {found.capacity.name}: {_stages_text(found.capacity)}."))
    for line in gpu_texts(found.capacity):
        console.print(Text(line))
    if found.slo is not None:
        console.print(slo_text(found.slo))
    if found.standalone is not None:
        standalone = found.standalone
        share = share_text(found, standalone)
        console.print(f"The standalone function reaches {standalone.items_per_s:.0f} items/s {share}.")
        if standalone.peak_share is not None:
            console.print(
                f"Its largest batch reaches {standalone.peak_share:.0%} of the FLOP/s of {product_text(standalone)}."
            )
        if standalone.operators:
            shares = ", ".join(f"{name} {share:.0%}" for name, share in standalone.operators[:_LARGEST])
            console.print(f"{operators_text(standalone)}: {shares}.")
        if standalone.length_times:
            short, long = standalone.length_times[0], standalone.length_times[-1]
            shortest = f"{short.median_ms:.2f} ms for {short.length} {standalone.length_unit}"
            console.print(f"One item takes {shortest}, {long.median_ms:.2f} ms for {long.length}.")
    for finding in found.findings:
        console.print(Text(finding.title, style="bold red"))
        for line in finding.evidence:
            console.print(Text(f"  {line}"))
        console.print(Text(f"  -> {finding.remedy}", style="green"))
    if not found.findings:
        console.print("Bottleneck: {}; {}.".format(*bottleneck_of(found)))


def _stages_text(point: LoadPoint) -> str:
    """Return the longest stages of a load, as shares of the sum of all stages."""
    total_ms = sum(point.stage_ms.values())
    longest = sorted(point.stage_ms, key=lambda name: -point.stage_ms[name])[:_LARGEST]
    return ", ".join(f"{name} {point.stage_ms[name] / total_ms:.0%}" for name in longest)


def _show_changes(changes: Sequence[Change], *, as_json: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    if as_json:
        click.echo(json.dumps([asdict(change) for change in changes], indent=1, allow_nan=False))
        return
    table = Table(box=None, pad_edge=False)
    for name in ("load", "figure", "before", "after", "ratio", "interval"):
        table.add_column(name, justify="left" if name in ("load", "figure") else "right", no_wrap=True)
    for change in changes:
        interval = "-" if change.low is None else f"[{change.low:.3f}, {change.high:.3f}]"
        ratio = Text(f"{change.ratio:.3f}", style="bold" if change.is_sure else "")
        table.add_row(change.load, change.figure, f"{change.before:.4g}", f"{change.after:.4g}", ratio, interval)
    console = _console()
    console.print(table)
    console.print(
        "Bold: the interval excludes 1. It does not account for changes of the machine between the two profiles.",
        style="dim",
    )
