"""What the machine can do at the most, by what comes nearest to doing nothing else."""

from __future__ import annotations

import sys
import time
from functools import cache
from typing import Any

import numpy as np

_SIDE = 1024
_COPIED_BYTES = 64 * 2**20


def measure_gemm_gflops() -> float:
    """Floating-point operations a second of one product of float32 matrices, by torch where the process has it."""
    left, right, multiply = _matrices()
    started_s = time.perf_counter()
    multiply(left, right)
    return 2 * _SIDE**3 / (time.perf_counter() - started_s) / 1e9


def measure_copy_gib_per_s() -> float:
    """Bytes read and written a second by a copy that no cache holds."""
    source, target = _arrays()
    started_s = time.perf_counter()
    np.copyto(target, source)
    return 2 * _COPIED_BYTES / (time.perf_counter() - started_s) / 2**30


@cache
def _matrices() -> tuple[Any, Any, Any]:
    torch = sys.modules.get("torch")
    if torch is not None:
        return torch.rand(_SIDE, _SIDE), torch.rand(_SIDE, _SIDE), torch.mm
    generator = np.random.default_rng(0)
    left, right = (generator.random((_SIDE, _SIDE), dtype=np.float32) for _ in range(2))
    return left, right, np.matmul


@cache
def _arrays() -> tuple[Any, Any]:
    return np.ones(_COPIED_BYTES, dtype=np.uint8), np.empty(_COPIED_BYTES, dtype=np.uint8)
