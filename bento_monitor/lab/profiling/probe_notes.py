"""Reader of the notes that the workers' probes write."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ProbeNotes:
    """Notes of one worker.

    `pauses` are the collections, `(pauses, 3)` int64: begin and end in ns of CLOCK_MONOTONIC, and the generation.
    `lags` are the longest lags of the event loop, `(intervals, 2)`: end of the interval, and the lag in ns. `census`
    counts the objects by type. `served` has, by path, the requests that the application finished, `(intervals, 6)`: end
    of the interval, number of requests, and the sums of their ns in all, in parsing, in the call and in serializing.
    `cost_us` is the overhead of the probe per request.
    """

    pauses: NDArray[np.int64]
    lags: NDArray[np.int64]
    census: Mapping[str, int]
    served: Mapping[str, NDArray[np.int64]]
    cost_us: float

    def pauses_in(self, start_ns: int, end_ns: int) -> NDArray[np.int64]:
        """Return the collections that overlap a window."""
        return self.pauses[(self.pauses[:, 1] > start_ns) & (self.pauses[:, 0] < end_ns)]

    def longest_lag_ns(self, start_ns: int, end_ns: int) -> int:
        """Return the longest lag of the event loop in a window, in ns."""
        lags = self.lags[(self.lags[:, 0] > start_ns) & (self.lags[:, 0] <= end_ns), 1]
        return int(lags.max()) if len(lags) else 0

    def served_in(self, path: str, start_ns: int, end_ns: int) -> NDArray[np.int64]:
        """Return the totals of a path's requests that the application finished in a window, shape (5,).

        The totals are the number of requests, and the sums of their ns in all and in each of the three stages.
        """
        rows = self.served.get(path, np.empty((0, 6), dtype=np.int64))
        found: NDArray[np.int64] = rows[(rows[:, 0] > start_ns) & (rows[:, 0] <= end_ns), 1:].sum(axis=0)
        return found


def read_notes(folder: Path) -> dict[int, ProbeNotes]:
    """Read the notes of each worker, by pid; an incomplete last line is left for the next call."""
    return {int(file.stem): _read(file) for file in sorted(folder.glob("*.jsonl"))}


def _read(file: Path) -> ProbeNotes:
    pauses: list[list[int]] = []
    lags: list[tuple[int, int]] = []
    census: dict[str, int] = {}
    served: dict[str, list[tuple[int, ...]]] = {}
    cost_us = 0.0
    for line in file.read_text(encoding="utf-8").splitlines(keepends=True):
        if not line.endswith("\n"):
            break
        note = json.loads(line)
        pauses += note["pauses"]
        lags.append((note["at_ns"], note["lag_ns"]))
        census = dict(note.get("census", census))
        cost_us = note["cost_us"]
        for path, totals in note["served"].items():
            served.setdefault(path, []).append((note["at_ns"], *totals))
    return ProbeNotes(
        np.array(pauses, dtype=np.int64).reshape(-1, 3),
        np.array(lags, dtype=np.int64).reshape(-1, 2),
        census,
        {path: np.array(rows, dtype=np.int64) for path, rows in served.items()},
        cost_us,
    )
