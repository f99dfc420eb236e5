"""Identities of processes, which tell a process from a later one with the same id, independent of the wall clock."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_DEAD = frozenset({"Z", "X", "x"})


def process_identity(pid: int) -> str:
    """Return an identity that no other process with this id had or will have; "" if there is no such process.

    On Linux it consists of the boot, the PID namespace, and the start of the process in clock ticks since the boot.
    None of them changes with the wall clock. A zombie counts as no process.
    """
    if sys.platform != "linux":
        return _identity_by_psutil(pid)
    try:
        # The name, in parentheses, may hold any character; the fields after it are numbers, except the state.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in _DEAD else f"{_boot()}-{fields[19]}"


def is_alive(pid: int, identity: str) -> bool:
    """Whether the process with this id and identity still runs."""
    return identity != "" and process_identity(pid) == identity


@cache
def _boot() -> str:
    try:
        boot = _BOOT_ID.read_text(encoding="ascii").strip().replace("-", "")[:16]
    except OSError:
        boot = "unknown"
    try:
        namespace = Path("/proc/self/ns/pid").readlink().name.strip("pid:[]")
    except OSError:
        namespace = "unknown"
    return f"{boot}-{namespace}"


def _identity_by_psutil(pid: int) -> str:
    import psutil

    try:
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
    except psutil.Error:
        return ""
