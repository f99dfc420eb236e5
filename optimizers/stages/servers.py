"""Which servers a study compares: the baseline's, and those that candidates are handed to."""

from __future__ import annotations

from ..measurement.server import ServerChoice
from .workbench import Workbench


def baseline_server(bench: Workbench) -> ServerChoice:
    """What the study is compared with: `--baseline` served by stock BentoML, or the service as it is."""
    spec = bench.spec
    return ServerChoice(
        target=spec.baseline or spec.target,
        working_dir=spec.working_dir,
        service=bench.subject.subject.service,
        kind="monitored" if spec.baseline is None else "stock",
        workers=bench.subject.workers[0],
    )


def candidate_server(bench: Workbench, workers: int) -> ServerChoice:
    """The service itself, which serves a candidate once it is handed one."""
    spec = bench.spec
    return ServerChoice(spec.target, spec.working_dir, bench.subject.subject.service, "monitored", workers)
