"""Rule: one of several workers holds most of the connections, and the other workers are idle."""

from __future__ import annotations

from ..profiling.profile_record import Finding, Profile

# With fewer connections, even a random spread is often uneven.
_MIN_CONNECTIONS = 8
_MIN_SHARE = 0.85


def find_uneven_workers(profile: Profile) -> Finding | None:
    """Return the finding at the first load with enough open connections; None for a single worker or an even spread."""
    if profile.workers < 2:
        return None
    for point in profile.points:
        server = point.server
        if server is None or server.connections < _MIN_CONNECTIONS:
            continue
        if server.largest_share >= _MIN_SHARE and server.largest_cpu_share >= _MIN_SHARE:
            return Finding(
                "uneven_workers",
                "One worker holds most of the connections",
                (
                    f"one of {profile.workers} workers holds {server.largest_share:.0%} of all connections",
                    f"it used {server.largest_cpu_share:.0%} of the workers' CPU time",
                ),
                "Enable spreading of connections (BENTO_MONITOR_SPREAD_CONNECTIONS, on by default), or use a proxy.",
            )
    return None
