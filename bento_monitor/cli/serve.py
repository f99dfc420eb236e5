"""`bento-monitor serve`: a service monitored, with no change to its code."""

from __future__ import annotations

import os
import sys

import click

from ..serving.ports import check_port
from ..settings import require_settings
from ..telemetry_environment import drop_unusable


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("target", metavar="MODULE:SERVICE")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on.")
@click.option("--workers", type=click.IntRange(min=1), help="Number of worker processes [default: the service's own].")
@click.argument("bentoml_options", nargs=-1, type=click.UNPROCESSED, metavar="[BENTOML OPTIONS]")
def serve(target: str, host: str, port: int, workers: int | None, bentoml_options: tuple[str, ...]) -> None:
    """Serve MODULE:SERVICE from the current folder, traced and ready to take releases; other options go to BentoML."""
    check_port(host, port)
    require_settings()
    drop_unusable()
    environment = {**os.environ, "BENTO_MONITOR_TARGET": target}
    if workers is not None:
        environment["BENTO_MONITOR_WORKERS"] = str(workers)
    command = [sys.executable, "-P", "-m", "bento_monitor.serving.launch", target]
    command += ["--host", host, "--port", str(port), *bentoml_options]
    os.execve(sys.executable, command, environment)
