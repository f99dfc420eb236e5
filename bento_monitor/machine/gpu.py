"""The NVIDIA GPUs of this machine; asking never fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .nvml import find_nvml, handles, name_of, opened


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU, as its driver names it."""

    name: str
    memory_bytes: int
    compute_capability: str


def read_gpus() -> tuple[Gpu, ...]:
    """The GPUs that the driver shows; empty where there is no driver, or it does not answer."""
    nvml = find_nvml()
    if nvml is None:
        return _gpus_of_torch()
    with opened(nvml) as answers:
        try:
            return tuple(_gpu(nvml, handle) for handle in handles(nvml)) if answers else ()
        except nvml.NVMLError:
            return ()


def _gpu(nvml: Any, handle: Any) -> Gpu:
    major, minor = nvml.nvmlDeviceGetCudaComputeCapability(handle)
    return Gpu(
        name=name_of(nvml, handle),
        memory_bytes=int(nvml.nvmlDeviceGetMemoryInfo(handle).total),
        compute_capability=f"{major}.{minor}",
    )


def _gpus_of_torch() -> tuple[Gpu, ...]:
    try:
        import torch
    except ImportError:
        return ()
    if not torch.cuda.is_available():
        return ()
    found = (torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count()))
    return tuple(Gpu(each.name, each.total_memory, f"{each.major}.{each.minor}") for each in found)
