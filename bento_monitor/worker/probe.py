"""The probe of a profiled worker: it records garbage collections, event loop lag, and the objects on the heap.

The worker serves as usual. The notes are one line of JSON twice per second, in a file in the profile's folder.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from ..tracing.ledger.ledger import Ledger

CENSUS = "census"
"""Name of a file: when it appears in the folder, each worker counts its objects by type, once."""

THREAD_NAME = "bento-monitor-probe"
_INTERVAL_S = 0.5
_BEAT_S = 0.02
_MOST_COMMON = 40
_MAX_PATHS = 100


class Probe:
    """The probe of one worker."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pauses: list[tuple[int, int, int]] = []
        self._begun_ns = 0
        self._longest_lag_ns = 0
        self._served: dict[str, list[int]] = {}
        self._cost_us = 0.0
        self._has_counted = False
        self._file = folder / f"{os.getpid()}.jsonl"
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, cost_us: float) -> None:
        """Start to watch this process and the running event loop; `cost_us` is the cost of the probe per request."""
        self._cost_us = cost_us
        gc.callbacks.append(self._watch)
        self._loop = asyncio.get_running_loop()
        self._beat(self._loop, time.monotonic_ns())
        threading.Thread(target=self._run, name=THREAD_NAME, daemon=True).start()

    def served(self, path: str, ledger: Ledger) -> None:
        """Add a finished request to the totals of its path. Called on the event loop's thread."""
        totals = self._served.get(path)
        if totals is None:
            if len(self._served) >= _MAX_PATHS:
                return
            totals = self._served[path] = [0] * 5
        totals[0] += 1
        totals[1] += ledger.sent_ns - ledger.received_ns
        if ledger.serialized_ns:
            totals[2] += ledger.parsed_ns - ledger.read_ns
            totals[3] += ledger.serialize_started_ns - ledger.parsed_ns
            totals[4] += ledger.serialized_ns - ledger.serialize_started_ns

    def _watch(self, phase: str, info: dict[str, int]) -> None:
        now_ns = time.monotonic_ns()
        if phase == "start":
            self._begun_ns = now_ns
        else:
            self._pauses.append((self._begun_ns, now_ns, info["generation"]))

    def _beat(self, loop: asyncio.AbstractEventLoop, due_ns: int) -> None:
        now_ns = time.monotonic_ns()
        self._longest_lag_ns = max(self._longest_lag_ns, now_ns - due_ns)
        loop.call_later(_BEAT_S, self._beat, loop, now_ns + int(_BEAT_S * 1e9))

    def _run(self) -> None:
        while self._folder.is_dir():  # the profile removes it at its end
            time.sleep(_INTERVAL_S)
            pauses, self._pauses = self._pauses, []
            lag_ns, self._longest_lag_ns = self._longest_lag_ns, 0
            served, self._served = self._served, {}
            note: dict[str, object] = {"at_ns": time.monotonic_ns(), "pauses": pauses, "lag_ns": lag_ns}
            note["served"], note["cost_us"] = served, self._cost_us
            if not self._has_counted and (self._folder / CENSUS).exists():
                self._has_counted = True
                note["census"] = count_objects()
            # If the folder is gone or the disk full, the service continues.
            with suppress(OSError), self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(note) + "\n")


def count_objects() -> list[tuple[str, int]]:
    """Return the most common types on the heap, with their counts; only objects that the garbage collector tracks."""
    counts = Counter(type(each).__qualname__ for each in gc.get_objects())
    return counts.most_common(_MOST_COMMON)
