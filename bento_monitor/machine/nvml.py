"""NVIDIA's management library, by its own Python binding, where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def find_nvml() -> Any | None:
    """The binding; None where it is not installed, as with a torch without CUDA."""
    try:
        import pynvml
    except ImportError:
        return None
    return pynvml


@contextmanager
def opened(nvml: Any) -> Iterator[bool]:
    """Whether the driver answers; it is let go of at the end of the block."""
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        yield False
        return
    try:
        yield True
    finally:
        nvml.nvmlShutdown()


def handles(nvml: Any) -> list[Any]:
    """One for each GPU. The driver may raise the binding's `NVMLError`."""
    return [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]


def name_of(nvml: Any, handle: Any) -> str:
    """What the driver calls a GPU."""
    name = nvml.nvmlDeviceGetName(handle)
    return name.decode() if isinstance(name, bytes) else str(name)
