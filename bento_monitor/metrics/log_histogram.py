"""A histogram whose buckets grow by a constant factor: every value is known to 1.1 %, whatever its size.

It is OTLP's exponential histogram: https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SCALE = 5
"""Buckets are (b**i, b**(i+1)] with b = 2**(2**-SCALE)."""

_LOWEST = 1e-9  # what is smaller counts as zero: no clock of ours resolves it


class LogHistogram:
    """Counts of positive values by bucket, and of zeros."""

    __slots__ = ("count", "counts", "largest", "smallest", "total", "zeros")

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self.count = 0
        self.zeros = 0
        self.total = 0.0
        self.smallest = float("inf")
        self.largest = float("-inf")

    def add(self, values: NDArray[np.float64]) -> None:
        """Count values; at least one."""
        positive = values[values > _LOWEST]
        indices = np.ceil(np.log2(positive) * 2**SCALE).astype(np.int64) - 1
        for index, count in zip(*np.unique(indices, return_counts=True), strict=True):
            self.counts[int(index)] = self.counts.get(int(index), 0) + int(count)
        self.count += len(values)
        self.zeros += len(values) - len(positive)
        self.total += float(values.sum())
        self.smallest = min(self.smallest, float(values.min()))
        self.largest = max(self.largest, float(values.max()))

    def dense(self) -> tuple[int, list[int]]:
        """The index of the first bucket that holds something, and the counts from it to the last one that does."""
        if not self.counts:
            return 0, []
        first, last = min(self.counts), max(self.counts)
        return first, [self.counts.get(index, 0) for index in range(first, last + 1)]
