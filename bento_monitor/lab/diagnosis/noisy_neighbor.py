"""Rule: a noisy neighbor uses the CPU cores."""

from __future__ import annotations

from ..profiling.profile_record import Finding, LoadPoint, Profile

_MIN_SHARE = 0.25  # of the machine
_MAX_IDLE_SHARE = 0.15
_MIN_STEAL = 0.05


def find_noisy_neighbor(profile: Profile) -> Finding | None:
    """Return the finding at the load where other processes use most cores; None if enough cores were left."""
    found = [(taken, point) for point in profile.points if (taken := _taken_cores(point)) > 0]
    if not found:
        return None
    taken, point = max(found, key=lambda pair: pair[0])
    machine = point.machine
    return Finding(
        "neighbour",
        "A noisy neighbor uses the CPU cores",
        (
            f"other processes used {machine.other_cores:.1f} of {machine.cores} cores",
            f"the host stole {machine.steal_ratio:.0%} of the cores' time",
        ),
        "Find the process with top, and give the service dedicated cores (a quota, a cpuset, another machine).",
    )


def _taken_cores(point: LoadPoint) -> float:
    machine = point.machine
    is_short = machine.idle_cores < _MAX_IDLE_SHARE * machine.cores
    if machine.steal_ratio >= _MIN_STEAL:
        return machine.other_cores + machine.steal_ratio * machine.cores
    return machine.other_cores if is_short and machine.other_cores >= _MIN_SHARE * machine.cores else 0.0
