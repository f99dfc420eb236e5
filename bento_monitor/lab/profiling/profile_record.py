"""Results of a profile: frozen records for tables, pages and diagnoses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...machine.gpu_use import GpuUse
from ..loadgen.load_spec import LoadMode
from ..loadgen.slo_search import SloSearch


@dataclass(frozen=True, slots=True)
class Percentile:
    """A latency percentile in ms, counted from the planned time, and its bounds, each with 99 % confidence.

    `low_ms` and `high_ms` are None for fewer than `needs` requests: then `value_ms` alone says little.
    """

    percentile: float
    value_ms: float
    low_ms: float | None
    high_ms: float | None
    needs: int


@dataclass(frozen=True, slots=True)
class StageTime:
    """One stage: its mean over the requests that had the stage, and the number of these requests."""

    name: str
    mean_ms: float
    requests: int


@dataclass(frozen=True, slots=True)
class GcPauses:
    """Collections of the workers' garbage collectors: their number and duration.

    `slow_share` is the share of the slowest 1 % of requests that waited for a collection of 2 ms or more, `every_share`
    that share of all requests.
    """

    count: int
    total_ms: float
    longest_ms: float
    slow_share: float
    every_share: float


@dataclass(frozen=True, slots=True)
class ServerUse:
    """Use of the server's processes during the load: cores, bytes, switches per second, seconds.

    `busy_threads` counts threads that used a tenth of a core or more. `largest_share` is the largest share of the
    connections that one worker holds. `rss_bytes` is read once, when the load has ended.
    """

    cpu_cores: float
    cpu_us_per_request: float
    rss_bytes: int
    involuntary_switches_per_s: float
    throttled_s: float
    busy_threads: int
    connections: int
    largest_share: float
    largest_cpu_share: float
    longest_lag_ms: float
    pauses: GcPauses


@dataclass(frozen=True, slots=True)
class MachineUse:
    """Use of the machine during the load, in cores; `other_cores` were used by neither the server nor the client."""

    cores: int
    idle_cores: float
    other_cores: float
    steal_ratio: float
    client_cpu_us_per_request: float
    client_lag_p99_ms: float
    fault: str | None


@dataclass(frozen=True, slots=True)
class LoadPoint:
    """One load, and what was observed during it.

    `offered_rps` is None for closed loads, in which clients wait for their answers; `share` is its share of the
    capacity found before. `rates_rps` are the answers per second in each half second. `server` is None if its processes
    are not visible here. `stages` is empty if the server does not report stages. `gpus` are all GPUs of the server's
    machine, no matter which process used them. `gpu_ms_per_request` is measured with CUDA events if a MonitoredRunner
    calls the model. `energy_mj_per_request` is that of all GPUs, also of other processes on them; None if no GPU counts
    its energy.
    """

    mode: LoadMode
    connections: int
    offered_rps: float | None
    share: float | None
    seconds: float
    throughput_rps: float
    rates_rps: tuple[float, ...]
    requests: int
    failed: int
    errors: Mapping[str, int]
    latencies: tuple[Percentile, ...]
    stages: tuple[StageTime, ...]
    batch_size: float | None
    server: ServerUse | None
    machine: MachineUse
    gpus: tuple[GpuUse, ...]
    gpu_ms_per_request: float | None
    energy_mj_per_request: float | None

    @property
    def name(self) -> str:
        """Name of the load, as tables show it."""
        if self.offered_rps is not None:
            return f"{self.offered_rps:.0f} requests/s"
        return "1 client" if self.connections == 1 else f"{self.connections} clients"

    @property
    def stage_ms(self) -> dict[str, float]:
        """Mean of each stage over all requests: a stage that few requests have is scaled down."""
        most = max((stage.requests for stage in self.stages), default=0)
        return {stage.name: stage.mean_ms * stage.requests / most for stage in self.stages}

    def latency_ms(self, percentile: float) -> float:
        """Return the value of one of the measured percentiles; of few requests, it may be far from the true one."""
        return next(each.value_ms for each in self.latencies if each.percentile == percentile)


@dataclass(frozen=True, slots=True)
class BatchTime:
    """Time of the API function for a batch: the median of `calls` calls."""

    batch_size: int
    median_ms: float
    calls: int


@dataclass(frozen=True, slots=True)
class LengthTime:
    """Time of the API function for one row of a length: the median of `calls` calls."""

    length: int
    median_ms: float
    calls: int


@dataclass(frozen=True, slots=True)
class Intensity:
    """Arithmetic of a batch per second, and per byte that its operators read and write."""

    batch_size: int
    gflops: float
    flop_per_byte: float


@dataclass(frozen=True, slots=True)
class StandaloneProfile:
    """The standalone API function, measured in a process without a server.

    `alpha_ms + beta_ms * batch size` is the line fitted to the times; both are None if the function takes no batches.
    `length_times` are times of single rows by length, counted in `length_unit`; empty if rows have no length.
    `gemm_gflops` and `copy_gib_per_s` are the peaks of the CPU, or of the GPU on which the function computes most,
    measured between its calls. For a GPU, `computes_in` names it and the element type, as "float32 on NVIDIA H100".
    `gflop_per_item` is the arithmetic per item of the largest batch in torch and ONNX Runtime, `intensities` the
    arithmetic of each batch, and `operators` the largest shares of the time in the two libraries. These are None or
    empty if the function does not use the libraries, or if the service's constructor did not create the sessions.
    """

    times: tuple[BatchTime, ...]
    alpha_ms: float | None
    beta_ms: float | None
    length_times: tuple[LengthTime, ...]
    length_unit: str | None
    gemm_gflops: float
    copy_gib_per_s: float
    gflop_per_item: float | None
    intensities: tuple[Intensity, ...]
    operators: tuple[tuple[str, float], ...]
    computes_in: str | None

    @property
    def best(self) -> BatchTime:
        """Batch size with the most items per second."""
        return max(self.times, key=lambda each: each.batch_size / each.median_ms)

    @property
    def items_per_s(self) -> float:
        """Items per second in batches of the best size."""
        return self.best.batch_size / self.best.median_ms * 1e3

    def items_per_s_in(self, batch_size: float) -> float:
        """Return the items per second for a mean batch size, interpolated between the measured sizes."""
        sizes, medians_ms = zip(*((each.batch_size, each.median_ms) for each in self.times), strict=True)
        return batch_size / float(np.interp(batch_size, sizes, medians_ms)) * 1e3

    @property
    def peak_share(self) -> float | None:
        """GFLOP/s of the largest batch as a share of a matrix product's; None if unknown, noisy on a busy machine."""
        return self.intensities[-1].gflops / self.gemm_gflops if self.intensities else None

    def roof_gflops(self, flop_per_byte: float) -> float:
        """Return the upper bound of GFLOP/s (roofline) at this ratio of FLOP to bytes moved."""
        return min(self.gemm_gflops, flop_per_byte * self.copy_gib_per_s * 2**30 / 1e9)


@dataclass(frozen=True, slots=True)
class Finding:
    """One bottleneck of a service: its title, the evidence, and a remedy."""

    rule: str
    title: str
    evidence: tuple[str, ...]
    remedy: str


@dataclass(frozen=True, slots=True)
class Profile:
    """A service profiled from idle to overload.

    `slo` is None if no SLO was given, `standalone` if the API function could not be called without a server.
    `watching_us` is the probe's overhead per request, with warm caches; None if there was no probe.
    """

    target: str
    served_as: str
    path: str
    workers: int
    points: tuple[LoadPoint, ...]
    slo: SloSearch | None
    standalone: StandaloneProfile | None
    census: Mapping[str, int]
    watching_us: float | None
    findings: tuple[Finding, ...]
    machine: Mapping[str, Any]
    versions: Mapping[str, str | None]

    @property
    def capacity(self) -> LoadPoint:
        """Load with the highest throughput."""
        return max(self.points, key=lambda point: point.throughput_rps)
