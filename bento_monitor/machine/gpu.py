"""The NVIDIA GPUs of this machine. Reading them never raises an error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .nvml import find_nvml, handles, name_of, nvml_session


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU, as reported by its driver."""

    name: str
    memory_bytes: int
    compute_capability: str


def read_gpus() -> tuple[Gpu, ...]:
    """Return the GPUs that the driver reports; empty if there is no driver, or it does not respond."""
    nvml = find_nvml()
    if nvml is None:
        return _gpus_of_torch()
    with nvml_session(nvml) as is_ready:
        try:
            return tuple(_gpu(nvml, handle) for handle in handles(nvml)) if is_ready else ()
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
