"""Memory that processes use, and that is left for more."""

from __future__ import annotations

from .cgroup import read_cgroup_limits


def resident_bytes(pid: int) -> int | None:
    """Return the resident memory of a process; None if it has ended."""
    import psutil

    try:
        resident: int = psutil.Process(pid).memory_info().rss
    except psutil.Error:
        return None
    return resident


def available_bytes() -> int:
    """Return how much memory a new process could take before the system or a container's limit stops it."""
    import psutil

    available: int = psutil.virtual_memory().available
    limit = read_cgroup_limits().memory_bytes
    return available if limit is None else min(available, limit)
