"""Counts of exported and dropped spans, which add up at any moment."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from opentelemetry.sdk.trace.export import SpanExportResult

from ...resilience.rate_limited_log import OutageLog
from .finished_span import FinishedSpan, FinishedSpanExporter

_LOGGER = logging.getLogger("bento_monitor")


@dataclass(frozen=True, slots=True)
class ExporterStats:
    """Span counts of one exporter: `built = exported + dropped + queued`. Spans of a running export are queued."""

    name: str
    built: int
    exported: int
    dropped: int
    queued: int


@dataclass(frozen=True, slots=True)
class PipelineStats:
    """Counts of ledgers and batches, at any moment `submitted = built + dropped + waiting`, and of each exporter."""

    submitted: int
    built: int
    dropped: int
    waiting: int
    exporters: tuple[ExporterStats, ...]


class ExporterState:
    """Counts one exporter's spans. The pipeline's lock guards every method except `export` and `close`."""

    def __init__(self, exporter: FinishedSpanExporter) -> None:
        self.exporter = exporter
        self.name = type(exporter).__name__
        self._outages = OutageLog(_LOGGER, "%s lost spans (%s). Lost spans are counted; requests are not affected.")
        self._built = self._exported = self._dropped = self._queued = 0

    def enqueue(self, count: int) -> None:
        """Count spans that were built for this exporter."""
        self._built += count
        self._queued += count

    def settle(self, count: int, *, is_exported: bool) -> None:
        """Count spans as exported or lost. Spans that were given up before stay dropped."""
        count = min(count, self._queued)
        self._queued -= count
        if is_exported:
            self._exported += count
        else:
            self._dropped += count

    def give_up(self) -> None:
        """Drop all queued spans."""
        self.settle(self._queued, is_exported=False)

    def close(self) -> None:
        """Close the exporter; a failure is logged."""
        try:
            self.exporter.shutdown()
        except Exception:
            _LOGGER.warning("%s could not be closed.", self.name, exc_info=True)

    def stats(self) -> ExporterStats:
        """Return the current counts."""
        return ExporterStats(self.name, self._built, self._exported, self._dropped, self._queued)

    def export(self, spans: Sequence[FinishedSpan]) -> bool:
        """Export spans; return whether this succeeded. A failure is logged once until the exporter works again."""
        reason: str | Exception = "the exporter returned FAILURE"
        try:
            if self.exporter.export(spans) is SpanExportResult.SUCCESS:
                self._outages.worked()
                return True
        except Exception as error:
            reason = error
        self._outages.failed(self.name, reason)
        return False
