"""Peak performance of the machine, measured by a matrix product and a memory copy."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

_SIDE, _SIDE_ON_GPU = 1024, 4096
_COPIED_BYTES, _COPIED_BYTES_ON_GPU = 64 * 2**20, 256 * 2**20
_CALLS_ON_GPU = 4
FLOATS = ("float32", "bfloat16", "float16", "float64")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a function computes: torch's name of the device, and the element type, one of `FLOATS`."""

    device: str = "cpu"
    dtype: str = "float32"

    @property
    def is_gpu(self) -> bool:
        """Whether the device is not the CPU."""
        return self.device != "cpu"

    @property
    def description(self) -> str | None:
        """Element type and name of a GPU, such as "float32 on NVIDIA H100"; None for the CPU."""
        return f"{self.dtype} on {sys.modules['torch'].cuda.get_device_name(self.device)}" if self.is_gpu else None


def measure_gemm_gflops(place: Place) -> float:
    """Return the GFLOP/s of one matrix product, computed by torch if the process has imported torch, else by NumPy.

    One call on a busy machine can be far below the peak: take the maximum of several.
    """
    left, right, multiply = _matrices(place)
    flop: int = 2 * len(left) ** 3
    return flop / _seconds(lambda: multiply(left, right), place) / 1e9


def measure_copy_gib_per_s(place: Place) -> float:
    """Return the GiB read and written per second by a copy that is too large for the caches."""
    source, target, copy = _arrays(place)
    return 2 * len(source) / _seconds(lambda: copy(target, source), place) / 2**30


def _seconds(do: Callable[[], object], place: Place) -> float:
    """Return the seconds per call; on a GPU, where calls are asynchronous, time several calls until all are done."""
    calls = 1
    if place.is_gpu:
        calls = _CALLS_ON_GPU
        _wait_for(place)
    started_s = time.perf_counter()
    for _ in range(calls):
        do()
    if place.is_gpu:
        _wait_for(place)
    return (time.perf_counter() - started_s) / calls


def _wait_for(place: Place) -> None:
    sys.modules["torch"].cuda.synchronize(place.device)


@cache
def _matrices(place: Place) -> tuple[Any, Any, Any]:
    torch = sys.modules.get("torch")
    if torch is not None:
        side = _SIDE_ON_GPU if place.is_gpu else _SIDE
        left, right = (torch.rand(side, side, dtype=getattr(torch, place.dtype), device=place.device) for _ in range(2))
        return left, right, torch.mm
    generator = np.random.default_rng(0)
    left, right = (generator.random((_SIDE, _SIDE), dtype=np.float32) for _ in range(2))
    return left, right, np.matmul


@cache
def _arrays(place: Place) -> tuple[Any, Any, Any]:
    if place.is_gpu:
        torch = sys.modules["torch"]
        source = torch.ones(_COPIED_BYTES_ON_GPU, dtype=torch.uint8, device=place.device)
        return source, torch.empty_like(source), torch.Tensor.copy_
    return np.ones(_COPIED_BYTES, dtype=np.uint8), np.empty(_COPIED_BYTES, dtype=np.uint8), np.copyto
