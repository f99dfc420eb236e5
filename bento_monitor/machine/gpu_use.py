"""Use of the machine's NVIDIA GPUs during a measurement. Measuring it never raises an error."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from .nvml import find_nvml, handles, name_of, nvml_session

_INTERVAL_S = 0.1


@dataclass(frozen=True, slots=True)
class GpuUse:
    """The use of one GPU by all processes: means of ten samples per second, and the peak memory.

    `utilization` is the share of time in which any kernel ran, however small a part of the GPU it used. `energy_j` is
    None if the driver does not count energy, as on GPUs before Volta.
    """

    name: str
    utilization: float
    memory_bytes: int
    power_w: float
    energy_j: float | None


class GpuMeter:
    """Samples all GPUs in its own thread."""

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml
        self._gpus = handles(nvml)
        self._samples: list[list[tuple[float, int, float]]] = [[] for _ in self._gpus]
        self._before_mj = [self._energy_mj(gpu) for gpu in self._gpus]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bento-monitor-gpu-meter", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop sampling."""
        self._stop.set()
        self._thread.join()

    def read(self) -> tuple[GpuUse, ...]:
        """Stop sampling, and return the use of each GPU since the start."""
        self.end()
        return tuple(map(self._use, self._gpus, self._samples, self._before_mj))

    def _run(self) -> None:
        is_last = False
        while not is_last:
            for gpu, samples in zip(self._gpus, self._samples, strict=True):
                try:
                    samples.append(self._sample(gpu))
                except self._nvml.NVMLError:  # the GPU was lost meanwhile
                    continue
            is_last = self._stop.wait(_INTERVAL_S)

    def _sample(self, gpu: Any) -> tuple[float, int, float]:
        nvml = self._nvml
        return (
            nvml.nvmlDeviceGetUtilizationRates(gpu).gpu / 100,
            int(nvml.nvmlDeviceGetMemoryInfo(gpu).used),
            nvml.nvmlDeviceGetPowerUsage(gpu) / 1e3,
        )

    def _use(self, gpu: Any, samples: list[tuple[float, int, float]], before_mj: int | None) -> GpuUse:
        shares, memory_bytes, power_w = zip(*samples, strict=True) if samples else ((0.0,), (0,), (0.0,))
        after_mj = self._energy_mj(gpu)
        energy_j = None if before_mj is None or after_mj is None else (after_mj - before_mj) / 1e3
        return GpuUse(
            name=name_of(self._nvml, gpu),
            utilization=sum(shares) / len(shares),
            memory_bytes=max(memory_bytes),
            power_w=sum(power_w) / len(power_w),
            energy_j=energy_j,
        )

    def _energy_mj(self, gpu: Any) -> int | None:
        try:
            return int(self._nvml.nvmlDeviceGetTotalEnergyConsumption(gpu))
        except self._nvml.NVMLError:
            return None


@contextmanager
def open_gpu_meter() -> Iterator[GpuMeter | None]:
    """Start a meter and yield it; None if there is no GPU, or no driver that responds."""
    nvml = find_nvml()
    if nvml is None:
        yield None
        return
    with nvml_session(nvml) as is_ready:
        meter = None
        with suppress(nvml.NVMLError):
            meter = GpuMeter(nvml) if is_ready and nvml.nvmlDeviceGetCount() else None
        try:
            yield meter
        finally:
            if meter is not None:
                meter.end()
