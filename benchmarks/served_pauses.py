"""The longest pause of the garbage collector in a worker, through a file that the worker and the benchmark share.

A request could ask only one of several workers, and would be one more to serve.
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
_DOUBLE = struct.Struct("=d")


def note_pauses() -> None:
    """From now on keep this process's longest pause, in ms, in a file of the folder that `SERVED_PAUSES` names."""
    folder = os.environ.get(PAUSES_FOLDER)
    if folder is None:
        return
    file = Path(folder) / str(os.getpid())
    file.write_bytes(bytes(_DOUBLE.size))
    with file.open("r+b") as opened:
        longest_ms = memoryview(mmap.mmap(opened.fileno(), _DOUBLE.size)).cast("d")
    started_ns = 0

    def note(phase: str, _info: dict[str, int]) -> None:
        nonlocal started_ns
        if phase == "start":
            started_ns = time.perf_counter_ns()
            return
        took_ms = (time.perf_counter_ns() - started_ns) / 1e6
        if took_ms > longest_ms[0]:
            longest_ms[0] = took_ms

    gc.callbacks.append(note)


def forget_pauses(folder: Path) -> None:
    """Begin anew in every worker that notes its pauses in `folder`."""
    for file in folder.iterdir():
        with file.open("r+b") as opened:
            opened.write(bytes(_DOUBLE.size))


def longest_pause_ms(folder: Path, pids: Iterable[int]) -> float:
    """The longest of these workers' pauses since they were forgotten."""
    return max(float(_DOUBLE.unpack((folder / str(pid)).read_bytes())[0]) for pid in pids)
