"""Stage 3: a race in process of every execution of the precisions that were accepted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bento_monitor.releases.record import Execution

from ..search_space.executions import executions
from .screen import KEEP_RATIO
from .workbench import Kind, Workbench


def race(bench: Workbench, kinds: Sequence[Kind], cores: int) -> list[dict[str, Any]]:
    """Samples per second of every execution, the fastest first."""
    speeds = bench.speeds(executions(kinds, cores, bench.subject.subject.interface.mask_input))
    ranked = sorted(speeds, key=lambda execution: speeds[execution], reverse=True)
    return [{"execution": asdict(execution), "samples_per_s": speeds[execution]} for execution in ranked]


def survivors(ranked: Sequence[Mapping[str, Any]]) -> list[Execution]:
    """The executions that are worth a served trial, the fastest first."""
    least = KEEP_RATIO * ranked[0]["samples_per_s"]
    return [Execution(**entry["execution"]) for entry in ranked if entry["samples_per_s"] >= least]
