"""A histogram whose buckets grow by a constant factor, so that every value has a relative error of at most 1.1 %.

This is OTLP's exponential histogram: https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SCALE = 5
"""Buckets are (b**i, b**(i+1)] with b = 2**(2**-SCALE)."""

_LOWEST = 1e-9  # smaller values count as zero: no clock that is used resolves them


class LogHistogram:
    """Counts of positive values per bucket, and of zeros."""

    __slots__ = ("count", "counts", "largest", "smallest", "total", "zeros")

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self.count = 0
        self.zeros = 0
        self.total = 0.0
        self.smallest = float("inf")
        self.largest = float("-inf")

    def add(self, values: NDArray[np.float64]) -> None:
        """Count one or more values."""
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
        """Return the index of the first non-empty bucket, and the counts from it to the last non-empty bucket."""
        if not self.counts:
            return 0, []
        first, last = min(self.counts), max(self.counts)
        return first, [self.counts.get(index, 0) for index in range(first, last + 1)]
