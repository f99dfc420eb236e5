"""One of several workers has taken most of the connections, and the others idle."""

from __future__ import annotations

from ..profiling.profile_record import Finding, Profile

# With as many connections, an even spread is within this of 1 / workers in 999 of 1,000 runs of a coin.
_LEAST_CONNECTIONS = 8
_LEAST_SHARE = 0.85


def find_uneven_workers(profile: Profile) -> Finding | None:
    """Of the loads that keep a worker's connections open; None with one worker."""
    if profile.workers < 2:
        return None
    for point in profile.points:
        server = point.server
        if server is None or server.connections < _LEAST_CONNECTIONS:
            continue
        if server.largest_share >= _LEAST_SHARE and server.largest_cpu_share >= _LEAST_SHARE:
            return Finding(
                "uneven_workers",
                "One worker has taken the connections",
                (
                    f"one of {profile.workers} workers holds {server.largest_share:.0%} of all connections",
                    f"it took {server.largest_cpu_share:.0%} of the workers' CPU time",
                ),
                "Let connections be spread (BENTO_MONITOR_SPREAD_CONNECTIONS is on by default), or use a proxy.",
            )
    return None
