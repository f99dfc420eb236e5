"""Bottlenecks of a profiled service, found by rules of one cause each."""

from __future__ import annotations

from collections.abc import Callable

from ..profiling.profile_record import Finding, Profile
from .batch_window import find_batch_window
from .busy_threads import find_busy_threads
from .gc_pauses import find_gc_pauses
from .idle_cores import find_idle_cores
from .noisy_neighbor import find_noisy_neighbor
from .uneven_workers import find_uneven_workers

RULES: tuple[Callable[[Profile], Finding | None], ...] = (
    find_gc_pauses,
    find_uneven_workers,
    find_batch_window,
    find_busy_threads,
    find_idle_cores,
    find_noisy_neighbor,
)


def diagnose(profile: Profile) -> tuple[Finding, ...]:
    """Return the findings of all rules that apply to the profile."""
    return tuple(finding for rule in RULES if (finding := rule(profile)) is not None)
