"""Synthetic results of loads."""

from __future__ import annotations

import numpy as np

from bento_monitor.lab.loadgen import LoadResult
from bento_monitor.machine.cpu_time import MachineTime

MS = 1_000_000
QUIET = MachineTime(busy_s=4.0, idle_s=16.0, steal_s=0.0)  # 10 s of two processors


def load(*, lag_ms: float = 0.0, latency_ms: float = 5.0, machine: MachineTime = QUIET, cpu_s: float = 1.0):
    planned = np.arange(1000, dtype=np.int64) * MS
    dispatched = planned + round(lag_ms * MS)
    return LoadResult(
        body_index=np.zeros(1000, dtype=np.int64),
        planned_ns=planned,
        dispatched_ns=dispatched,
        sent_ns=dispatched,
        done_ns=planned + round(latency_ms * MS),
        status=np.full(1000, 200),
        responses={},
        errors={},
        started_ns=0,
        started_wall_ns=0,
        window_start_ns=0,
        window_end_ns=1000 * MS,
        cpu_s=cpu_s,
        machine=machine,
    )
