from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from loads import MS, load

from bento_monitor.lab.loadgen.validity import check_window
from bento_monitor.machine.cpu_time import MachineTime, read_machine_time


def test_undisturbed_window_is_valid():
    check = check_window(load(), server_cpu_s=3.0)
    assert (check.fault, check.lag_p99_ns, check.steal_ratio) == (None, 0, 0)


def test_stolen_time_discards_a_window():
    check = check_window(load(machine=MachineTime(4.0, 15.6, 0.4)), server_cpu_s=3.0)
    assert check.fault == "2.0% of the processors' time was stolen by the host"


def test_late_client_on_an_idle_machine_discards_the_window():
    check = check_window(load(lag_ms=0.5), server_cpu_s=3.0)
    assert check.fault is not None
    assert "the client was 0.50 ms late" in check.fault
    assert "20% of the machine was in use" in check.fault


def test_client_late_because_of_the_busy_server_is_valid():
    check = check_window(load(lag_ms=0.5, machine=MachineTime(20.0, 0.0, 0.0)), server_cpu_s=17.5)
    assert check.fault is None
    assert check.lag_p99_ns == MS // 2


def test_client_late_because_of_a_noisy_neighbor_discards_the_window():
    assert check_window(load(lag_ms=0.5, machine=MachineTime(20.0, 0.0, 0.0)), server_cpu_s=8.0).fault is not None


def test_lag_of_a_hundredth_of_the_median_is_not_late():
    assert check_window(load(lag_ms=0.5, latency_ms=60.0), server_cpu_s=3.0).fault is None


def test_slow_answers_alone_never_discard_a_window():
    assert check_window(load(latency_ms=5000.0), server_cpu_s=3.0).fault is None


def test_failures_alone_never_discard_a_window():
    assert check_window(replace(load(), status=np.zeros(1000, dtype=np.int64)), server_cpu_s=3.0).fault is None


def test_machine_time_is_the_difference_of_two_readings():
    before = read_machine_time()
    while (found := read_machine_time().since(before)).busy_s <= 0:
        sum(range(100_000))
    assert found.total_s == pytest.approx(found.busy_s + found.idle_s + found.steal_s)
    assert 0 <= found.steal_ratio <= 1


def test_machine_time_of_zero_has_no_steal():
    assert MachineTime(0.0, 0.0, 0.0).steal_ratio == 0
