"""Requests that waited for a collection of the garbage collector."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ..loadgen import LoadResult
from .probe_notes import ProbeNotes
from .profile_record import GcPauses

_SLOW_SHARE = 0.01
_MIN_SLOW = 5
# A pause explains a slow request if it covers this share of the request's latency above the median.
_COVERED = 0.25
# Shorter pauses are ignored: young collections occur a hundred times per second, and every request meets one.
_MIN_PAUSE_NS = 2_000_000


def pauses_of(result: LoadResult, notes: Iterable[ProbeNotes]) -> GcPauses:
    """Count the collections of all workers in a load's window, and the share of slow requests that they explain.

    With several workers, pauses of all workers count for every request: chance alone explains more requests.
    """
    found = [each.pauses_in(result.window_start_ns, result.window_end_ns) for each in notes]
    pauses = np.concatenate([each[:, :2] for each in found]) if found else np.empty((0, 2), dtype=np.int64)
    lengths_ms = (pauses[:, 1] - pauses[:, 0]) / 1e6
    is_in = result.is_in_window
    begun, done = result.planned_ns[is_in], result.done_ns[is_in]
    covered = _covered_ns(pauses[pauses[:, 1] - pauses[:, 0] >= _MIN_PAUSE_NS], begun, done)
    latency = done - begun
    slow = np.argsort(latency)[-max(_MIN_SLOW, round(len(latency) * _SLOW_SHARE)) :]
    excess = latency - (np.median(latency) if len(latency) else 0)
    is_explained = (covered > 0) & (covered >= _COVERED * excess)
    return GcPauses(
        count=len(pauses),
        total_ms=float(lengths_ms.sum()),
        longest_ms=float(lengths_ms.max()) if len(pauses) else 0.0,
        slow_share=float(is_explained[slow].mean()) if len(slow) else 0.0,
        every_share=float((covered > 0).mean()) if len(latency) else 0.0,
    )


def _covered_ns(pauses: NDArray[np.int64], begun: NDArray[np.int64], done: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the ns of each request that pauses cover; pauses of different workers may overlap and count twice."""
    covered = np.zeros(len(begun), dtype=np.int64)
    for start_ns, end_ns in pauses.tolist():
        covered += np.maximum(np.minimum(done, end_ns) - np.maximum(begun, start_ns), 0)
    return covered
