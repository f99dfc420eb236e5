"""The in-process speed of executions, and which of them do not run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bento_monitor.errors import BentoMonitorError, ReleaseError, ServiceError
from bento_monitor.serving_config import Execution

from .workbench import RACE_ROUNDS, Workbench


def speed_words(samples_per_s: float) -> str:
    """Return a speed in words, with three figures."""
    return f"{samples_per_s:.0f} samples/s" if samples_per_s >= 100 else f"{samples_per_s:.3g} samples/s"


def speeds_of(
    bench: Workbench,
    entrants: Sequence[Execution],
    refuse: Callable[[Execution, BentoMonitorError], None],
    rounds: int = RACE_ROUNDS,
) -> dict[Execution, float]:
    """Return the samples per second of all executions that run.

    If the race fails, each execution is raced separately to find those that do not run; `refuse` is called for each.
    """
    if not entrants:
        return {}
    try:
        return bench.speeds(entrants, rounds)
    except (ServiceError, ReleaseError):
        speeds: dict[Execution, float] = {}
        for execution in entrants:
            try:
                speeds |= bench.speeds([execution], rounds)
            except (ServiceError, ReleaseError) as error:
                refuse(execution, error)
        return speeds
