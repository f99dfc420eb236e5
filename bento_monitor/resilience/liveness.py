"""Telling a process from a later one that has its id, whatever the wall clock does."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_DEAD = frozenset({"Z", "X", "x"})


def process_identity(pid: int) -> str:
    """What tells this process from every other that had or will have its id; "" if there is none of that id.

    On Linux the boot, the namespace of process ids, and the process's start in clock ticks since the boot: stepping the
    wall clock changes none of them. A process that has ended and was not waited for yet is none.
    """
    if sys.platform != "linux":
        return _identity_by_psutil(pid)
    try:
        # The name, in parentheses, may hold anything; the fields after it are numbers but for the state.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in _DEAD else f"{_boot()}-{fields[19]}"


def is_alive(pid: int, identity: str) -> bool:
    """Whether the process that had this id and identity is there."""
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
