"""NVIDIA's management library (NVML), through its Python binding, if installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def find_nvml() -> Any | None:
    """Return the binding; None if it is not installed, as with a CPU build of torch."""
    try:
        import pynvml
    except ImportError:
        return None
    return pynvml


@contextmanager
def nvml_session(nvml: Any) -> Iterator[bool]:
    """Open NVML and yield whether the driver responds; close it at the end of the block."""
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
    """Return one handle per GPU. May raise the binding's `NVMLError`."""
    return [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]


def name_of(nvml: Any, handle: Any) -> str:
    """Return the driver's name of a GPU."""
    name = nvml.nvmlDeviceGetName(handle)
    return name.decode() if isinstance(name, bytes) else str(name)
