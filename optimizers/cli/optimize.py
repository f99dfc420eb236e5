"""`bento-monitor optimize`: find the fastest configuration that keeps the accuracy, prove it, store it as a release."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..search_space.choices import SpaceChoices

_LIBRARIES = ("onnx", "onnxruntime", "onnxscript", "optuna", "scipy")


def _worker_counts(_context: click.Context, _parameter: click.Parameter, text: str | None) -> tuple[int, ...]:
    if text is None:
        return ()
    try:
        counts = tuple(int(part) for part in text.split(","))
    except ValueError:
        counts = (0,)
    if min(counts) < 1:
        raise click.BadParameter(f"{text!r} is not a list of worker counts: give positive numbers, such as 1,2.")
    return counts


def _finite(_context: click.Context, _parameter: click.Parameter, number: float | None) -> float | None:
    if number is not None and not math.isfinite(number):
        raise click.BadParameter(f"{number} is not finite: give a finite number.")
    return number


@click.command()
@click.argument("target", metavar="MODULE:SERVICE", required=False)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Your data: .npz, .jsonl, or a folder of files with labels.csv.",
)
@click.option("--metric", help="Accuracy metric, such as recall@10 or accuracy.")
@click.option(
    "--max-drop",
    default="0.01",
    show_default=True,
    help="Largest accepted drop of the metric, such as 0.01, or 1% of the baseline's value.",
)
@click.option("--output", help="What the answers are, if it cannot be detected: KIND, FIELD or FIELD:KIND.")
@click.option(
    "--prove-data", type=click.Path(path_type=Path), help="Data to prove accuracy on [default: half of --data]."
)
@click.option("--min-accuracy", type=float, callback=_finite, help="Accuracy that the baseline itself must reach.")
@click.option("--slo", help="Limit on latency under the search's load, such as p99=50ms.")
@click.option("--api", help="API to optimize; required if the service has several.")
@click.option("--runner", help="Runner to optimize [default: of those that the API calls, the one with most time].")
@click.option(
    "--baseline",
    metavar="MODULE:SERVICE",
    help="Service to compare with, served by stock BentoML [default: the service itself].",
)
@click.option(
    "--allow-slower-alone",
    is_flag=True,
    help="Also release a candidate with higher latency for a lone client, or a higher p99 at half of the load.",
)
@click.option(
    "--space",
    "space_file",
    type=click.Path(path_type=Path),
    help="TOML file with the values to search of some knobs: precision, threads, sub_batch_size, max_batch_size, "
    "window_ms, workers, cuda_graphs.",
)
@click.option(
    "--workers",
    callback=_worker_counts,
    help="Worker counts to search, such as 1,2 [default: the server's current count].",
)
@click.option("--connections", default=32, show_default=True, type=click.IntRange(1), help="Concurrent clients.")
@click.option("--trials", default=10, show_default=True, type=click.IntRange(1), help="Trials on a real server.")
@click.option("--blocks", default=10, show_default=True, type=click.IntRange(5), help="Paired blocks of the proof.")
@click.option(
    "--block-seconds",
    default=5.0,
    show_default=True,
    type=click.FloatRange(0.5, 3600.0),
    callback=_finite,
    help="Length of a block of the proof, in seconds.",
)
@click.option("--list-space", is_flag=True, help="Print the space that would be searched, and what is cut and why.")
@click.option("--retry", is_flag=True, help="Also try what crashed twice on this machine with these versions.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of every random choice.")
@click.option(
    "--study-dir", type=click.Path(path_type=Path), help="Folder to store the study in [default: .bento-monitor]."
)
@click.option("--cache", "show_cache", is_flag=True, help="Print the disk that studies and artifacts take.")
@click.option(
    "--cache-gib",
    default=20.0,
    show_default=True,
    type=click.FloatRange(min=0.0),
    callback=_finite,
    help="Disk that --study-dir may take; beyond, what was not used for longest is removed.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON; progress goes to stderr.")
def optimize(
    target: str | None,
    data: Path | None,
    metric: str | None,
    max_drop: str,
    output: str | None,
    prove_data: Path | None,
    min_accuracy: float | None,
    slo: str | None,
    api: str | None,
    runner: str | None,
    baseline: str | None,
    allow_slower_alone: bool,
    space_file: Path | None,
    workers: tuple[int, ...],
    connections: int,
    trials: int,
    blocks: int,
    block_seconds: float,
    list_space: bool,
    retry: bool,
    seed: int,
    study_dir: Path | None,
    show_cache: bool,
    cache_gib: float,
    as_json: bool,
) -> None:
    """Find the fastest precision, threads, batching and batch execution for MODULE:SERVICE, imported from this folder.

    Run the same command again to resume a stopped study.
    """
    from rich.console import Console

    from bento_monitor.extras import require_extra
    from bento_monitor.lab.loadgen.slo import parse_slo

    require_extra("optimize", "bento-monitor optimize", *_LIBRARIES)
    from ..accuracy.tolerance import parse_tolerance
    from ..report.cache_table import print_items
    from ..report.table import print_result
    from ..search_space.choices import ALL, read_choices
    from ..study import STAGES, run_study
    from ..study_spec import StudySpec
    from ..study_store import StudyStore

    root = study_dir or Path(".bento-monitor")
    if show_cache:
        print_items(Console(), StudyStore(root).items(), str(root), cache_gib)
        return
    if target is None:
        raise click.UsageError("Missing MODULE:SERVICE: name the service to optimize, such as service:MyService.")
    space = ALL if space_file is None else read_choices(space_file)
    if list_space:
        _print_space(target, space, api=api, runner=runner, connections=connections)
        return
    missing = [f"--{name}" for name, value in (("data", data), ("metric", metric)) if value is None]
    if data is None or metric is None:
        raise click.UsageError(f"Missing {' and '.join(missing)}: give your data and the metric to keep.")
    spec = StudySpec(
        target=target,
        working_dir=Path.cwd(),
        data=data.resolve(),
        metric=metric,
        api=api,
        runner=runner,
        max_drop=parse_tolerance(max_drop),
        output=output,
        prove_data=None if prove_data is None else prove_data.resolve(),
        min_accuracy=min_accuracy,
        slo=parse_slo(slo) if slo is not None else None,
        baseline=baseline,
        allow_slower_alone=allow_slower_alone,
        space=space,
        space_file=None if space_file is None else space_file.resolve(),
        workers=workers or space.workers,
        connections=connections,
        trials=trials,
        blocks=blocks,
        block_s=block_seconds,
        retry=retry,
        seed=seed,
    )
    console = Console(stderr=as_json)
    from ..report.progress import StudyProgress

    with StudyProgress(console, STAGES).running() as progress:
        result: dict[str, Any] = run_study(spec, root, progress, limit_gib=cache_gib)
    if as_json:
        click.echo(json.dumps(result, indent=2, allow_nan=False))
    else:
        print_result(console, result)


def _print_space(target: str, space: SpaceChoices, *, api: str | None, runner: str | None, connections: int) -> None:
    from rich.console import Console

    from ..listing import list_space
    from ..report.space_table import print_space

    console = Console()
    for listed in list_space(target, Path.cwd(), space, api=api, runner=runner, connections=connections):
        title = f"{target}, API {listed.api}, runner {listed.runner}"
        print_space(console, title, listed.knobs, listed.precisions)
    console.print("Rules that depend on your samples are applied when the search runs.", highlight=False)
