"""`bento-monitor serve`: a service with monitoring, without changes to its code."""

from __future__ import annotations

import os
import sys

import click

from ..serving.launch import WORKERS_VARIABLE
from ..settings import require_settings
from ..telemetry_environment import remove_unusable_variables


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--workers", type=click.IntRange(min=1), help="Number of worker processes [default: the service's own].")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[MODULE:SERVICE] [OPTIONS OF BENTOML SERVE]")
def serve(workers: int | None, arguments: tuple[str, ...]) -> None:
    """Run bentoml serve, with the service traced and ready for releases.

    The target is as in BentoML: module:Service, the tag of a Bento, or a folder; by default the current folder.
    All options are those of bentoml serve, such as --host, --port, --working-dir and --arg, with the same meaning.
    """
    require_settings()
    remove_unusable_variables()
    environment = dict(os.environ)
    if workers is not None:
        environment[WORKERS_VARIABLE] = str(workers)
    command = [sys.executable, "-P", "-m", "bento_monitor.serving.launch", *arguments]
    os.execve(sys.executable, command, environment)
