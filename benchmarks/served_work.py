"""What the workloads do; the same for every server."""

from __future__ import annotations

import time

import numpy as np

EMBEDDING = (np.random.default_rng(0).normal(size=384)).tolist()
_MATRIX = np.random.default_rng(1).normal(size=(48, 48)).astype(np.float32)


def compute(x: int, cpu_s: float) -> int:
    """Multiply matrices, with the interpreter released, for this much CPU time of the calling thread."""
    end_s = time.thread_time() + cpu_s
    while time.thread_time() < end_s:
        np.matmul(_MATRIX, _MATRIX)
    return x
