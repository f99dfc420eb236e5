"""The servers that a study compares: the baseline's server, and the servers in which candidates are activated."""

from __future__ import annotations

from ..measurement.server import ServerChoice
from .workbench import Workbench


def baseline_server(bench: Workbench) -> ServerChoice:
    """Return the baseline's server: `--baseline` served by stock BentoML, or the unchanged service."""
    spec = bench.spec
    return ServerChoice(
        target=spec.baseline or spec.target,
        working_dir=spec.working_dir,
        service=bench.subject.subject.service,
        kind="monitored" if spec.baseline is None else "stock",
        workers=bench.subject.workers[0],
    )


def candidate_server(bench: Workbench, workers: int) -> ServerChoice:
    """Return the server of the service itself, in which candidates are activated."""
    spec = bench.spec
    return ServerChoice(spec.target, spec.working_dir, bench.subject.subject.service, "monitored", workers)
