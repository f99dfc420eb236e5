"""Synthetic profiles."""

from __future__ import annotations

from dataclasses import replace

from bento_monitor.lab.loadgen.slo import Slo
from bento_monitor.lab.loadgen.slo_search import RateTrial, SloSearch
from bento_monitor.lab.profiling.profile_record import (
    BatchTime,
    GcPauses,
    Intensity,
    LengthTime,
    LoadPoint,
    MachineUse,
    Percentile,
    Profile,
    ServerUse,
    StageTime,
    StandaloneProfile,
)
from bento_monitor.machine.gpu_use import GpuUse

HEALTHY = ServerUse(
    cpu_cores=0.9,
    cpu_us_per_request=900,
    rss_bytes=2**28,
    involuntary_switches_per_s=50,
    throttled_s=0,
    busy_threads=2,
    connections=16,
    largest_share=0.5,
    largest_cpu_share=0.5,
    longest_lag_ms=3,
    pauses=GcPauses(count=40, total_ms=20, longest_ms=1, slow_share=0.1, every_share=0.05),
)
STANDALONE = StandaloneProfile(
    times=(BatchTime(1, 2.0, 10), BatchTime(8, 4.0, 10)),
    alpha_ms=1.7,
    beta_ms=0.29,
    gemm_gflops=100.0,
    copy_gib_per_s=8.0,
    length_times=(LengthTime(20, 1.5, 9), LengthTime(160, 4.5, 9)),
    length_unit="characters",
    gflop_per_item=0.02,
    intensities=(Intensity(1, 10.0, 0.5), Intensity(8, 40.0, 4.0)),
    operators=(("aten::addmm", 0.8), ("aten::gelu", 0.1)),
    computes_in=None,
)
QUIET = MachineUse(
    cores=2,
    idle_cores=0.8,
    other_cores=0.1,
    steal_ratio=0,
    client_cpu_us_per_request=40,
    client_lag_p99_ms=0.1,
    fault=None,
)


def profile(server: ServerUse = HEALTHY, machine: MachineUse = QUIET, workers: int = 1, census=None, **changes):
    point = LoadPoint(
        mode="closed",
        connections=16,
        offered_rps=None,
        share=None,
        seconds=8,
        throughput_rps=1000,
        rates_rps=(1000.0,) * 16,
        requests=8000,
        failed=0,
        errors={},
        latencies=tuple(
            Percentile(each, value, None, None, 11) for each, value in ((50.0, 8.0), (95.0, 20.0), (99.0, 300.0))
        ),
        stages=(StageTime("queue", 1.0, 8000), StageTime("infer", 6.0, 8000)),
        batch_size=4.0,
        server=server,
        machine=machine,
        gpus=(GpuUse("Test GPU", 0.5, 2**30, 70.0, 12.0),),
        gpu_ms_per_request=0.25,
        energy_mj_per_request=1.5,
    )
    return Profile(
        target="service:Service",
        served_as="stock",
        path="/f",
        workers=workers,
        points=(replace(point, **changes),),
        slo=SloSearch(Slo(99.0, 50.0), 800.0, (RateTrial(800.0, 30.0, 40.0, 0, True),)),
        standalone=STANDALONE,
        census=census or {},
        watching_us=2.5,
        findings=(),
        machine={},
        versions={},
    )
