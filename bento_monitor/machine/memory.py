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


_SAFE_SHARE = 0.8  # of the available memory: with more, the machine would soon swap


def safe_bytes() -> int:
    """Return how much memory a candidate's process may take: 80 % of what is available."""
    return int(_SAFE_SHARE * available_bytes())


def over_limit(used_bytes: int, limit_bytes: int) -> str:
    """Return in words by how much a process is over its limit."""
    return f"took {used_bytes / 2**30:.1f} GiB of memory, more than its limit of {limit_bytes / 2**30:.1f} GiB"


def available_bytes() -> int:
    """Return how much memory a new process could take before the system or a container's limit stops it."""
    import psutil

    available: int = psutil.virtual_memory().available
    limit = read_cgroup_limits().memory_bytes
    return available if limit is None else min(available, limit)
