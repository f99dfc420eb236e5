from __future__ import annotations

import numpy as np

from bento_monitor.lab.loadgen import LoadResult
from bento_monitor.machine.cpu_time import MachineTime
from optimizers.stages.blocks import BASELINE, WINNER
from optimizers.stages.harm_fault import harm_fault

MS = 1_000_000


def result(latency_ms=20.0, lag_ms=0.0, late_share=0.0, steal_s=0.0):
    planned = np.arange(200, dtype=np.int64) * 100 * MS
    lags = np.where(np.arange(200) < late_share * 200, int(lag_ms * MS), 0)
    done = planned + int(latency_ms * MS)
    status = np.full(200, 200, dtype=np.int64)
    machine = MachineTime(busy_s=50.0, idle_s=50.0 - steal_s, steal_s=steal_s)
    return LoadResult(planned, planned, planned + lags, planned, done, status, {}, {}, 0, 0, 0, 10**12, 1.0, machine)


def fault(alone=None, half_load=None):
    return harm_fault(
        {BASELINE: result(), WINNER: alone or result()}, {BASELINE: result(60.0), WINNER: half_load or result(60.0)}, 99
    )


def test_quiet_machine_has_no_fault():
    assert fault() is None


def test_occasional_client_lag_affects_a_p99_but_not_a_median():
    assert fault(alone=result(lag_ms=50.0, late_share=0.2)) is None
    assert "50.00 ms late (p99)" in fault(half_load=result(lag_ms=50.0, late_share=0.2))


def test_constant_client_lag_over_a_twentieth_of_the_median_is_a_fault():
    assert fault(alone=result(lag_ms=0.9, late_share=1.0)) is None
    assert "1.10 ms late (p50)" in fault(alone=result(lag_ms=1.1, late_share=1.0))


def test_lag_is_judged_by_the_baselines_latency():
    assert fault(half_load=result(0.3, lag_ms=5.0, late_share=0.5)) is None


def test_time_stolen_by_the_host_is_a_fault():
    assert "the host stole 2.0% of the processors' time" in fault(alone=result(steal_s=2.0))
