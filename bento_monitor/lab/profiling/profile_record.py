"""What a profile found: frozen records that tables, pages and diagnoses are made of."""

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
    """A latency in ms, counted from the planned time, and the bounds that hold with 99 % each.

    `low_ms` and `high_ms` are None where there are fewer than `needs` requests.
    """

    percentile: float
    value_ms: float
    low_ms: float | None
    high_ms: float | None
    needs: int


@dataclass(frozen=True, slots=True)
class StageTime:
    """One stage of the requests: its mean over those that had it, and how many had."""

    name: str
    mean_ms: float
    requests: int


@dataclass(frozen=True, slots=True)
class Pauses:
    """Collections of the workers: how many, how long; of the slowest hundredth of the requests and of all, the share
    that waited through one of 2 ms or more.
    """

    count: int
    total_ms: float
    longest_ms: float
    slow_share: float
    every_share: float


@dataclass(frozen=True, slots=True)
class ServerUse:
    """What the server's processes took while the load ran: cores, bytes, switches a second, seconds.

    `busy_threads` took a tenth of a core or more; `largest_share` of the connections lie with one worker.
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
    pauses: Pauses


@dataclass(frozen=True, slots=True)
class MachineUse:
    """What the machine did while the load ran, in cores: `other_cores` went to neither server nor client."""

    cores: int
    idle_cores: float
    other_cores: float
    steal_ratio: float
    client_cpu_us_per_request: float
    client_lag_p99_ms: float
    fault: str | None


@dataclass(frozen=True, slots=True)
class LoadPoint:
    """One load, and what was seen beside it.

    `offered_rps` is None where clients wait for their answers, and `share` what it is of the capacity found before.
    `rates_rps` are the answers a second in each half second. `server` is None where its processes are not this
    machine's, `stages` is empty where it does not tell them. `gpus` are all of this machine, whoever used them, where
    the server is; what they computed for each request is known by CUDA events where a runner of ours calls the model,
    and the millijoules are those of all of them, None where none counts them.
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
        """How the load is called."""
        if self.offered_rps is not None:
            return f"{self.offered_rps:.0f} requests/s"
        return "1 client" if self.connections == 1 else f"{self.connections} clients"

    @property
    def stage_ms(self) -> dict[str, float]:
        """The mean of each stage over all requests: one that few have counts for little."""
        most = max((stage.requests for stage in self.stages), default=0)
        return {stage.name: stage.mean_ms * stage.requests / most for stage in self.stages}

    def latency_ms(self, percentile: float) -> float:
        """The value of one of its percentiles."""
        return next(each.value_ms for each in self.latencies if each.percentile == percentile)


@dataclass(frozen=True, slots=True)
class BatchTime:
    """How long the service's function takes for a batch: the median of so many calls."""

    batch_size: int
    median_ms: float
    calls: int


@dataclass(frozen=True, slots=True)
class LengthTime:
    """How long the service's function takes for one row of a length: the median of so many calls."""

    length: int
    median_ms: float
    calls: int


@dataclass(frozen=True, slots=True)
class Intensity:
    """How much arithmetic a batch makes, and how much for each byte that its operators read and write."""

    batch_size: int
    gflops: float
    flop_per_byte: float


@dataclass(frozen=True, slots=True)
class StandaloneProfile:
    """The service's function by itself, in a process without a server.

    `alpha_ms + beta_ms * batch size` is the line through its times; both are None where it takes no batches.
    `length_times` are those of single rows, whose length is counted in `length_unit`; empty where rows have none.
    `gemm_gflops` and `copy_gib_per_s` are the machine's peaks, measured beside it: of its processors, or of the GPU on
    which it computes most, and then `computes_in` names that and the element type, as "float32 on NVIDIA H100".
    `gflop_per_item` are the floating-point operations of an item of the largest batch inside torch and ONNX Runtime,
    `intensities` what each batch makes of the peaks, and `operators` the largest shares of the time inside the two;
    None and empty where they have no part in it, or were not made by the service's constructor.
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
        """The batch with the most items a second."""
        return max(self.times, key=lambda each: each.batch_size / each.median_ms)

    @property
    def items_per_s(self) -> float:
        """Items a second in the best batch."""
        return self.best.batch_size / self.best.median_ms * 1e3

    def items_per_s_in(self, batch_size: float) -> float:
        """Items a second in batches of a mean size, between those that were measured."""
        sizes, medians_ms = zip(*((each.batch_size, each.median_ms) for each in self.times), strict=True)
        return batch_size / float(np.interp(batch_size, sizes, medians_ms)) * 1e3

    @property
    def peak_share(self) -> float | None:
        """What the largest batch makes of the arithmetic of a matrix product; None where it is not known."""
        return self.intensities[-1].gflops / self.gemm_gflops if self.intensities else None

    def roof_gflops(self, flop_per_byte: float) -> float:
        """The most arithmetic a second where each byte that is moved carries so much of it."""
        return min(self.gemm_gflops, flop_per_byte * self.copy_gib_per_s * 2**30 / 1e9)


@dataclass(frozen=True, slots=True)
class Finding:
    """One cause that holds a service back: what it is, what shows it, and what helps."""

    rule: str
    title: str
    evidence: tuple[str, ...]
    remedy: str


@dataclass(frozen=True, slots=True)
class Profile:
    """A service from idle to past the knee; `slo` is None where no promise was asked for, `standalone` where its
    function could not be called by itself. `watching_us` is what watching cost each request, with warm caches;
    None where it was not watched.
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
        """The load with the highest throughput."""
        return max(self.points, key=lambda point: point.throughput_rps)
