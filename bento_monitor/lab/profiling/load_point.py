"""Measurement of one load on a server: latency, stages, and the use of processes, machine and GPUs."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...errors import MeasurementError
from ...machine.gpu_use import GpuUse, open_gpu_meter
from ..loadgen import LoadResult, LoadSpec, run_load, start_load
from ..loadgen.validity import check_window
from .latency_bounds import latencies_of
from .pauses import pauses_of
from .probe_notes import ProbeNotes, read_notes
from .process_use import ProcessUse
from .profile_record import LoadPoint, MachineUse, ServerUse, StageTime
from .stage_times import batch_size_between, gpu_ms_between, read_totals, stages_around, stages_between
from .subject import ProfiledService

# A thread that uses at least this share of a core computes; other threads wait (the monitor's own use at most 0.05).
_BUSY_THREAD_CORES = 0.1
# The probe writes twice per second; the server updates its request counts at least once per second.
_NOTES_S = 1.2
_BIN_S = 0.5


@dataclass(frozen=True, slots=True)
class _Span:
    """Use of the server's processes before and after a load, and the duration of the load."""

    before: ProcessUse
    after: ProcessUse
    seconds: float

    def server_use(self, result: LoadResult, notes: Mapping[int, ProbeNotes]) -> ServerUse:
        cpu_s = self.after.cpu_s - self.before.cpu_s
        threads = [
            total - self.before.thread_cpu_s.get(thread, 0.0) for thread, total in self.after.thread_cpu_s.items()
        ]
        cpu = [total - self.before.worker_cpu_s.get(pid, 0.0) for pid, total in self.after.worker_cpu_s.items()]
        held = list(self.before.worker_connections.values())
        lags = [each.longest_lag_ns(result.window_start_ns, result.window_end_ns) for each in notes.values()]
        return ServerUse(
            cpu_cores=cpu_s / self.seconds,
            cpu_us_per_request=cpu_s / max(len(result.status), 1) * 1e6,
            rss_bytes=self.after.rss_bytes,
            involuntary_switches_per_s=(self.after.involuntary_switches - self.before.involuntary_switches)
            / self.seconds,
            throttled_s=self.after.throttled_s - self.before.throttled_s,
            busy_threads=sum(each / self.seconds >= _BUSY_THREAD_CORES for each in threads),
            connections=sum(held),
            largest_share=max(held, default=0) / max(sum(held), 1),
            largest_cpu_share=max(cpu, default=0.0) / max(sum(cpu), 1e-9),
            longest_lag_ms=max(lags, default=0) / 1e6,
            pauses=pauses_of(result, notes.values()),
        )


def measure_point(subject: ProfiledService, spec: LoadSpec, share: float | None = None) -> LoadPoint:
    """Run a load and observe the server before, during and after it.

    Args:
        subject: the server.
        spec: the load.
        share: rate of the load as a share of the capacity, if the load has a rate.

    Raises:
        MeasurementError: the load failed, or no request was answered with 2xx.
    """
    totals_before = read_totals(subject.metrics(), spec.path)
    result, span, gpus = _run(subject, spec)
    time.sleep(_NOTES_S)
    totals = read_totals(subject.metrics(), spec.path)
    notes = {} if subject.probes is None else read_notes(subject.probes)
    is_in, is_ok = result.is_in_window, result.is_ok
    in_window = is_ok & (result.done_ns >= result.window_start_ns) & (result.done_ns <= result.window_end_ns)
    seconds = (result.window_end_ns - result.window_start_ns) / 1e9
    energies_j = [gpu.energy_j for gpu in gpus if gpu.energy_j is not None]
    return LoadPoint(
        mode=spec.mode,
        connections=spec.connections,
        offered_rps=spec.rate_rps,
        share=share,
        seconds=seconds,
        throughput_rps=float(in_window.sum()) / seconds,
        rates_rps=_rates_rps(result.done_ns[in_window], result.window_start_ns, seconds),
        requests=int(is_in.sum()),
        failed=int((is_in & ~is_ok).sum()),
        errors=result.failures,
        latencies=latencies_of(result),
        stages=stages_between(totals_before, totals) or _stages_around(result, notes, spec.path),
        batch_size=batch_size_between(totals_before, totals),
        server=None if span is None else span.server_use(result, notes),
        machine=_machine_use(result, span),
        gpus=gpus,
        gpu_ms_per_request=gpu_ms_between(totals_before, totals, len(result.status)),
        energy_mj_per_request=sum(energies_j) * 1e3 / len(result.status) if energies_j else None,
    )


def _run(subject: ProfiledService, spec: LoadSpec) -> tuple[LoadResult, _Span | None, tuple[GpuUse, ...]]:
    before, started_s = subject.use(), time.monotonic()
    if before is None:
        return run_load(spec), None, ()
    with open_gpu_meter() as meter, start_load(spec) as load:
        # Connections of workers can be read only while they are open.
        time.sleep(min(1.0, (spec.duration_s or 0.0) / 2))
        held = subject.use()
        result = load.wait()
        gpus = () if meter is None else meter.read()
    after = subject.use()
    if held is None or after is None:
        raise MeasurementError("The server exited during the measurement: check the service's log.")
    with_connections = replace(before, worker_connections=held.worker_connections)
    return result, _Span(with_connections, after, time.monotonic() - started_s), gpus


def _stages_around(result: LoadResult, notes: Mapping[int, ProbeNotes], path: str) -> tuple[StageTime, ...]:
    window = (result.window_start_ns, result.window_end_ns)
    totals = sum((each.served_in(path, *window) for each in notes.values()), np.zeros(5, dtype=np.int64))
    is_ok = result.is_in_window & result.is_ok
    if not totals[0] or not is_ok.any():
        return ()
    return stages_around(totals, float(result.latency_ns[is_ok].mean()) / 1e6)


def _rates_rps(done_ns: NDArray[np.int64], start_ns: int, seconds: float) -> tuple[float, ...]:
    edges = start_ns + np.arange(int(seconds / _BIN_S) + 1) * int(_BIN_S * 1e9)
    counts, _ = np.histogram(done_ns, edges)
    return tuple((counts / _BIN_S).tolist())


def _machine_use(result: LoadResult, span: _Span | None) -> MachineUse:
    cores = os.cpu_count() or 1
    seconds = max(result.machine.total_s / cores, 1e-9)
    server_cpu_s = 0.0 if span is None else span.after.cpu_s - span.before.cpu_s
    check = check_window(result, server_cpu_s)
    other_s = result.machine.busy_s - result.cpu_s - server_cpu_s
    return MachineUse(
        cores=cores,
        idle_cores=result.machine.idle_s / seconds,
        other_cores=max(other_s / seconds, 0.0) if span is not None else 0.0,
        steal_ratio=check.steal_ratio,
        client_cpu_us_per_request=result.cpu_s / max(len(result.status), 1) * 1e6,
        client_lag_p99_ms=check.lag_p99_ns / 1e6,
        fault=check.fault,
    )
