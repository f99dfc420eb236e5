"""Stage 3: an in-process race of every execution of the accepted precisions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bento_monitor.errors import BentoMonitorError
from bento_monitor.serving_config import Execution

from ..candidate import describe_execution
from ..errors import NoWinnerError, StudyInputError, first_line
from ..search_space.executions import executions
from ..search_space.recipe import Kind
from .screen import SLOW_SAMPLES_PER_S, keep_ratio
from .speeds import speeds_of
from .workbench import Workbench

_MOST_LEADERS, _LEADERS_RATIO, _PLAYOFF_ROUNDS = 8, 0.8, 6


def race(bench: Workbench, kinds: Sequence[Kind], cores: int, on_note: Callable[[str], None]) -> list[dict[str, Any]]:
    """Return the samples per second of every execution that runs, the fastest first.

    Raises:
        NoWinnerError: no execution runs; the message has the first reason.
    """
    refusals: list[str] = []

    def refuse(execution: Execution, error: BentoMonitorError) -> None:
        refusals.append(first_line(error))
        on_note(f"{describe_execution(execution)}: {refusals[-1]}")

    interface = bench.subject.subject.interface
    entrants = executions(
        kinds,
        cores,
        interface.mask_input,
        has_separate_rows=interface.has_separate_rows,
        has_graphs=interface.without_graphs is None,
        choices=bench.spec.space,
    )
    if not entrants:
        raise StudyInputError(
            "--space leaves no way to run the model: it takes no batches in parts, so sub_batch_size must include 0."
        )
    speeds = speeds_of(bench, entrants, refuse)
    # Of many executions of about the same speed, the fastest in two short blocks is a lucky one.
    least = _LEADERS_RATIO * max(speeds.values(), default=0.0)
    best = sorted(speeds, key=lambda execution: -speeds[execution])[:_MOST_LEADERS]
    leaders = [execution for execution in best if speeds[execution] >= least]
    if len(leaders) > 1 and least >= SLOW_SAMPLES_PER_S:  # a block of a slow model is a whole call already
        speeds |= speeds_of(bench, leaders, refuse, rounds=_PLAYOFF_ROUNDS)
    if not speeds:
        raise NoWinnerError(f"No execution of the accepted precisions runs: {refusals[0]}")
    ranked = sorted(speeds, key=lambda execution: speeds[execution], reverse=True)
    return [{"execution": asdict(execution), "samples_per_s": speeds[execution]} for execution in ranked]


def survivors(ranked: Sequence[Mapping[str, Any]]) -> list[Execution]:
    """Return the executions that are worth a served trial, the fastest first."""
    fastest: float = ranked[0]["samples_per_s"]
    least = keep_ratio(fastest) * fastest
    return [Execution(**entry["execution"]) for entry in ranked if entry["samples_per_s"] >= least]
