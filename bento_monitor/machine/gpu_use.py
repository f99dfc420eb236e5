"""What the NVIDIA GPUs of this machine do while something else is measured; asking never fails."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from .nvml import find_nvml, handles, name_of, opened

_INTERVAL_S = 0.1


@dataclass(frozen=True, slots=True)
class GpuUse:
    """One GPU over some time, whoever used it: means of ten samples a second, and the most memory taken.

    `utilization` is the share of the time in which a kernel ran, however little of the GPU it filled. `energy_j` is
    None where the driver does not count it, as before Volta.
    """

    name: str
    utilization: float
    memory_bytes: int
    power_w: float
    energy_j: float | None


class GpuMeter:
    """Samples all GPUs from a thread of its own."""

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml
        self._gpus = handles(nvml)
        self._samples: list[list[tuple[float, int, float]]] = [[] for _ in self._gpus]
        self._before_mj = [self._energy_mj(gpu) for gpu in self._gpus]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bento-monitor-gpu-meter", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Sample no more."""
        self._stop.set()
        self._thread.join()

    def read(self) -> tuple[GpuUse, ...]:
        """End, and say what was seen since the start."""
        self.end()
        return tuple(map(self._use, self._gpus, self._samples, self._before_mj))

    def _run(self) -> None:
        is_last = False
        while not is_last:
            for gpu, samples in zip(self._gpus, self._samples, strict=True):
                try:
                    samples.append(self._sample(gpu))
                except self._nvml.NVMLError:  # one that was lost meanwhile
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
    """A meter that has begun; None where there is no GPU, or no driver that answers."""
    nvml = find_nvml()
    if nvml is None:
        yield None
        return
    with opened(nvml) as answers:
        meter = None
        with suppress(nvml.NVMLError):
            meter = GpuMeter(nvml) if answers and nvml.nvmlDeviceGetCount() else None
        try:
            yield meter
        finally:
            if meter is not None:
                meter.end()
