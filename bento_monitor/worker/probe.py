"""What a worker notes of itself while it is profiled: collections, the loop's lag, and what the heap is made of.

It serves as before; the notes are a line of JSON twice a second, in a file of the folder that the profile names.
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
"""Once a file of this name is in the folder, each worker counts its objects by type, once."""

THREAD_NAME = "bento-monitor-probe"
_INTERVAL_S = 0.5
_BEAT_S = 0.02
_COMMONEST = 40
_MOST_PATHS = 100


class Probe:
    """One a worker."""

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
        """Watch this process, and the loop that runs; `cost_us` is what that adds to a request."""
        self._cost_us = cost_us
        gc.callbacks.append(self._watch)
        self._loop = asyncio.get_running_loop()
        self._beat(self._loop, time.monotonic_ns())
        threading.Thread(target=self._run, name=THREAD_NAME, daemon=True).start()

    def served(self, path: str, ledger: Ledger) -> None:
        """The application has come to the end of a request; called on the loop's thread."""
        totals = self._served.get(path)
        if totals is None:
            if len(self._served) >= _MOST_PATHS:
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
        while self._folder.is_dir():  # the profile takes it away when it ends
            time.sleep(_INTERVAL_S)
            pauses, self._pauses = self._pauses, []
            lag_ns, self._longest_lag_ns = self._longest_lag_ns, 0
            served, self._served = self._served, {}
            note: dict[str, object] = {"at_ns": time.monotonic_ns(), "pauses": pauses, "lag_ns": lag_ns}
            note["served"], note["cost_us"] = served, self._cost_us
            if not self._has_counted and (self._folder / CENSUS).exists():
                self._has_counted = True
                note["census"] = count_objects()
            # The folder may be gone, or the disk full: the service goes on.
            with suppress(OSError), self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(note) + "\n")


def count_objects() -> list[tuple[str, int]]:
    """The types that the most objects of the heap are of, those that the collector does not walk left out."""
    counts = Counter(type(each).__qualname__ for each in gc.get_objects())
    return counts.most_common(_COMMONEST)
