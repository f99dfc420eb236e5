"""CPU time, memory, context switches and connections of a server's processes."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from ...machine.cgroup import read_throttled_s

_SWITCHES = ("voluntary_ctxt_switches", "nonvoluntary_ctxt_switches")


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """Totals of processes since their start; memory and connections are current values.

    `thread_cpu_s` is keyed by process id and thread id. `involuntary_switches` are preemptions of runnable threads.
    """

    cpu_s: float
    rss_bytes: int
    voluntary_switches: int
    involuntary_switches: int
    throttled_s: float
    thread_cpu_s: dict[tuple[int, int], float]
    worker_cpu_s: dict[int, float]
    worker_connections: dict[int, int]


def read_use(pids: Iterable[int], workers: Iterable[int], port: int) -> ProcessUse:
    """Read the totals of processes, and the number of each worker's connections to a port."""
    cpu_s, rss_bytes, voluntary, involuntary = 0.0, 0, 0, 0
    threads: dict[tuple[int, int], float] = {}
    cpu_of: dict[int, float] = {}
    for pid in pids:
        with suppress(psutil.Error):
            process = psutil.Process(pid)
            times, switches = process.cpu_times(), _switches(pid)
            cpu_of[pid] = times.user + times.system
            cpu_s += cpu_of[pid]
            rss_bytes += process.memory_info().rss
            voluntary += switches[0]
            involuntary += switches[1]
            threads |= {(pid, each.id): each.user_time + each.system_time for each in process.threads()}
    return ProcessUse(
        cpu_s,
        rss_bytes,
        voluntary,
        involuntary,
        read_throttled_s(),
        threads,
        {pid: cpu_of.get(pid, 0.0) for pid in workers},
        {pid: _connections(pid, port) for pid in workers},
    )


def _switches(pid: int) -> tuple[int, int]:
    """Return voluntary and involuntary switches of all threads of a process; psutil counts the first thread only."""
    found = [0, 0]
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        with suppress(OSError):  # the thread has ended
            for line in status.read_text(encoding="ascii", errors="replace").splitlines():
                name, _, value = line.partition(":")
                if name in _SWITCHES:
                    found[_SWITCHES.index(name)] += int(value)
    return found[0], found[1]


def _connections(pid: int, port: int) -> int:
    with suppress(psutil.Error):
        found = psutil.Process(pid).net_connections("tcp")
        return sum(each.status == psutil.CONN_ESTABLISHED and each.laddr.port == port for each in found)
    return 0
