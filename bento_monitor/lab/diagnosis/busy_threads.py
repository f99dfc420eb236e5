"""Rule: more threads compute than there are cores, so they preempt each other."""

from __future__ import annotations

from ..profiling.profile_record import Finding, Profile

_MIN_EXTRA = 1.5  # busy threads over cores
_MIN_SWITCHES_PER_S = 200.0
_MIN_CORES_SHARE = 0.7


def find_busy_threads(profile: Profile) -> Finding | None:
    """Return the finding at the first load at which these threads keep the machine busy, if there is one."""
    for point in profile.points:
        server, cores = point.server, point.machine.cores
        if server is None or server.busy_threads < _MIN_EXTRA * cores + 1:
            continue
        is_full = server.cpu_cores >= _MIN_CORES_SHARE * cores
        if is_full and server.involuntary_switches_per_s >= _MIN_SWITCHES_PER_S:
            return Finding(
                "busy_threads",
                "More threads compute than there are cores",
                (
                    f"{server.busy_threads} threads of the server compute on {cores} cores",
                    f"they are preempted {server.involuntary_switches_per_s:.0f} times per second",
                ),
                "Limit the threads of the model's session to the cores available per worker (intra_op_num_threads).",
            )
    return None
