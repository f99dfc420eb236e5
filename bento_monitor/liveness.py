"""Telling a process from a later one that has its id."""

from __future__ import annotations

_TOLERANCE_S = 0.05


def process_started_at_s(pid: int) -> float:
    """When a process started; 0.0 if there is none of that id."""
    import psutil

    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return 0.0


def is_alive(pid: int, started_at_s: float) -> bool:
    """Whether the process that had this id and started then is there."""
    return abs(process_started_at_s(pid) - started_at_s) < _TOLERANCE_S
