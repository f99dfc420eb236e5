"""Periodic readings of the reports of a server's processes, and of their memory, threads and sockets."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bento_monitor.tracing.export.delivery_report import DeliveryReport, read_delivery_reports

_INTERVAL_S = 0.2
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading: the largest figures among the watched processes, and the sums over all reports.

    `sockets` counts those to the collector.
    """

    at_s: float
    rss_mib: float
    threads: int
    sockets: int
    waiting: int
    queued: int
    dropped: int


@dataclass(slots=True)
class Watch:
    """All readings. `inexact` has the reports that did not add up, `writings` counts the new ones."""

    readings: list[Reading] = field(default_factory=list)
    inexact: list[DeliveryReport] = field(default_factory=list)
    reports_read: int = 0
    writings: int = 0

    def between(self, begin_s: float, end_s: float) -> list[Reading]:
        """Return the readings between two times of `time.monotonic()`."""
        return [each for each in self.readings if begin_s <= each.at_s < end_s]


@contextmanager
def watched(home: Path, pids: Sequence[int] = (), collector_port: int = 0) -> Iterator[Watch]:
    """Watch the reports of a home, and some processes, until the block ends."""
    watch = Watch()
    stop = threading.Event()
    processes = [psutil.Process(pid) for pid in pids]

    def run() -> None:
        seen: set[tuple[int, float]] = set()
        while not stop.wait(_INTERVAL_S):
            reports = [found.report for found in read_delivery_reports(home)]
            watch.reports_read += len(reports)
            watch.inexact += [report for report in reports if not report.is_exact]
            seen.update((report.pid, report.written_at_s) for report in reports)
            watch.writings = len(seen)
            watch.readings.append(_read(reports, processes, collector_port))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        stop.set()
        thread.join()


def _read(reports: Sequence[DeliveryReport], processes: Sequence[psutil.Process], collector_port: int) -> Reading:
    rss_bytes = threads = sockets = 0
    for process in processes:
        with suppress(psutil.Error):
            rss_bytes = max(rss_bytes, process.memory_info().rss)
            threads = max(threads, process.num_threads())
            remotes = [each.raddr for each in process.net_connections(kind="inet")]
            sockets = max(sockets, sum(1 for remote in remotes if remote and remote.port == collector_port))
    exporter_states = [exporter for report in reports for exporter in report.stats.exporters]
    return Reading(
        at_s=time.monotonic(),
        rss_mib=rss_bytes / _MIB,
        threads=threads,
        sockets=sockets,
        waiting=sum(report.stats.waiting for report in reports),
        queued=sum(exporter.queued for exporter in exporter_states),
        dropped=sum(exporter.dropped for exporter in exporter_states) + sum(report.stats.dropped for report in reports),
    )
