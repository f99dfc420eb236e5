"""The longest pause of the garbage collector in a worker, through a file that the worker and the benchmark share.

A request would reach only one of several workers, and would itself be load.
"""

from __future__ import annotations

import gc
import mmap
import os
import struct
import time
from collections.abc import Iterable
from pathlib import Path

PAUSES_FOLDER = "SERVED_PAUSES"
_PAUSES = struct.Struct("=dd")


def note_pauses() -> None:
    """Keep this process's longest pause, from now on, in a file in the folder that `SERVED_PAUSES` names.

    In ms of the wall clock, and in ms of the collecting thread's CPU time: on a busy machine the thread may pause, and
    not the collector.
    """
    folder = os.environ.get(PAUSES_FOLDER)
    if folder is None:
        return
    file = Path(folder) / str(os.getpid())
    file.write_bytes(bytes(_PAUSES.size))
    with file.open("r+b") as opened:
        longest_ms = memoryview(mmap.mmap(opened.fileno(), _PAUSES.size)).cast("d")
    started_ns = (0, 0)

    def note(phase: str, _info: dict[str, int]) -> None:
        nonlocal started_ns
        now_ns = (time.perf_counter_ns(), time.thread_time_ns())
        if phase == "start":
            started_ns = now_ns
            return
        for index in range(2):
            longest_ms[index] = max(longest_ms[index], (now_ns[index] - started_ns[index]) / 1e6)

    gc.callbacks.append(note)


def forget_pauses(folder: Path) -> None:
    """Start again from 0 in every worker that notes its pauses in `folder`."""
    for file in folder.iterdir():
        with file.open("r+b") as opened:
            opened.write(bytes(_PAUSES.size))


def longest_pauses_ms(folder: Path, pids: Iterable[int]) -> tuple[float, float]:
    """Return the longest of these workers' pauses since `forget_pauses`, in wall-clock and in CPU time."""
    pauses = [_PAUSES.unpack((folder / str(pid)).read_bytes()) for pid in pids]
    return max(wall for wall, _ in pauses), max(cpu for _, cpu in pauses)
