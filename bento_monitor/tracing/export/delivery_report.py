"""The delivery report of each tracing process: a small file that survives the process and counts its spans."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from ...resilience.atomic_files import write_atomic
from ...resilience.liveness import is_alive, process_identity
from ...resilience.rate_limited_log import OutageLog
from .exporter_state import ExporterStats, PipelineStats

_LOGGER = logging.getLogger("bento_monitor")
_INTERVAL_S = 0.5
ProcessState = Literal["running", "stopped", "lost"]

# How many reports of ended processes are kept, and for how long.
_ENDED_KEPT = 32
_ENDED_KEPT_S = 7 * 86400.0
_TEMPORARY_KEPT_S = 60.0


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """Report of one process, consistent at one moment; `identity` is from `liveness.process_identity`."""

    service: str
    pid: int
    identity: str
    started_at_s: float
    written_at_s: float
    is_stopped: bool
    stats: PipelineStats

    @property
    def is_exact(self) -> bool:
        """Whether all counts add up."""
        stats = self.stats
        is_whole = stats.submitted == stats.built + stats.dropped + stats.waiting
        return is_whole and all(each.built == each.exported + each.dropped + each.queued for each in stats.exporters)


@dataclass(frozen=True, slots=True)
class ProcessDelivery:
    """A delivery report and the state of its process.

    A "lost" process ended without a final report, for example by `kill -9`. Lost with it are the records that were
    waiting and the spans that were queued at its last report, except an export that arrived after all, and everything
    that it accepted since. A process writes its report at most twice per second.
    """

    report: DeliveryReport
    state: ProcessState


def write_delivery_report(home: Path, report: DeliveryReport) -> None:
    """Write a report atomically. The file is not synced to disk, because it must survive only the process.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    name = f"{report.service}-{report.pid}-{report.identity}.json"
    write_atomic(_folder(home) / name, json.dumps(asdict(report)) + "\n", is_durable=False)


def read_delivery_reports(home: Path, service: str | None = None) -> list[ProcessDelivery]:
    """Read the reports of all processes, or of one service's processes; the latest started comes first."""
    wanted = [found for _, found in _read_all(home) if service in (None, found.report.service)]
    return sorted(wanted, key=lambda found: found.report.started_at_s, reverse=True)


def remove_old_delivery_reports(home: Path) -> None:
    """Remove the reports of ended processes, except the latest 32 of the last 7 days."""
    now_s = time.time()
    ended = [(path, found.report.written_at_s) for path, found in _read_all(home) if found.state != "running"]
    ended.sort(key=lambda item: item[1], reverse=True)
    for position, (path, written_at_s) in enumerate(ended):
        if position >= _ENDED_KEPT or written_at_s < now_s - _ENDED_KEPT_S:
            path.unlink(missing_ok=True)
    # Temporary files of processes that were killed while they wrote.
    for path in _folder(home).glob(".*.tmp"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < now_s - _TEMPORARY_KEPT_S:
                path.unlink()


def _folder(home: Path) -> Path:
    return home / "delivery_reports"


def _read_all(home: Path) -> Iterator[tuple[Path, ProcessDelivery]]:
    for path in _folder(home).glob("*.json"):
        report = _read(path)
        if report is not None:
            yield path, _judge(path, report)


def _judge(path: Path, report: DeliveryReport) -> ProcessDelivery:
    if not report.is_stopped and is_alive(report.pid, report.identity):
        return ProcessDelivery(report, "running")
    # The process may have written its final report since the file was read.
    report = _read(path) or report
    return ProcessDelivery(report, "stopped" if report.is_stopped else "lost")


def _read(path: Path) -> DeliveryReport | None:
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        stats = fields.pop("stats")
        exporters = tuple(ExporterStats(**each) for each in stats.pop("exporters"))
        return DeliveryReport(**fields, stats=PipelineStats(**stats, exporters=exporters))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


class DeliveryReportWriter:
    """Writes the report at most twice per second while it changes, and once at the end."""

    def __init__(self, home: Path, service: str) -> None:
        self._home = home
        self._service = service
        self._outages = OutageLog(
            _LOGGER, "The delivery report cannot be written to %s (%s); nothing else is affected."
        )
        self.reset()

    def reset(self) -> None:
        """Reset to the initial state, as a forked child must."""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, read: Callable[[], PipelineStats]) -> None:
        """Start the thread that writes the counts that `read` returns."""
        thread = threading.Thread(target=self._run, args=(read,), name="bento-monitor-delivery-report", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the thread cannot be started, so there is no report
            return
        self._thread = thread

    def stop(self, timeout_s: float) -> None:
        """Write the final report; wait at most `timeout_s`, also if the disk hangs."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self, read: Callable[[], PipelineStats]) -> None:
        pid = os.getpid()
        identity, started_at_s = process_identity(pid), time.time()
        written: tuple[PipelineStats, bool] | None = None
        is_stopped = False
        while not is_stopped:
            is_stopped = self._stop.wait(0.0 if written is None else _INTERVAL_S)
            latest = read(), is_stopped
            if latest != written:
                report = DeliveryReport(self._service, pid, identity, started_at_s, time.time(), is_stopped, latest[0])
                self._write(report, is_first=written is None)
                written = latest

    def _write(self, report: DeliveryReport, *, is_first: bool) -> None:
        try:
            write_delivery_report(self._home, report)
            if is_first:
                remove_old_delivery_reports(self._home)
            self._outages.worked()
        except OSError as error:
            self._outages.failed(self._home, error)
