"""What became of everything that a pipeline was given: counts that add up at any moment."""

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
    """Spans of one exporter: `built = exported + dropped + queued`; those of an export under way are queued."""

    name: str
    built: int
    exported: int
    dropped: int
    queued: int


@dataclass(frozen=True, slots=True)
class PipelineStats:
    """Ledgers and batches: `submitted = built + dropped + waiting`, at any moment; then the spans of each exporter."""

    submitted: int
    built: int
    dropped: int
    waiting: int
    exporters: tuple[ExporterStats, ...]


class ExporterState:
    """Counts one exporter's spans. Its owner's lock guards every method but `export` and `close`."""

    def __init__(self, exporter: FinishedSpanExporter) -> None:
        self.exporter = exporter
        self.name = type(exporter).__name__
        self._outages = OutageLog(_LOGGER, "%s lost spans (%s); they are counted, and requests are not affected.")
        self._built = self._exported = self._dropped = self._queued = 0

    def enqueue(self, count: int) -> None:
        """Count spans that were built for this exporter."""
        self._built += count
        self._queued += count

    def settle(self, count: int, *, is_exported: bool) -> None:
        """Count spans that the exporter took, or lost. What was given up before stays dropped."""
        count = min(count, self._queued)
        self._queued -= count
        if is_exported:
            self._exported += count
        else:
            self._dropped += count

    def give_up(self) -> None:
        """Drop what the exporter still holds."""
        self.settle(self._queued, is_exported=False)

    def close(self) -> None:
        """Close the exporter; a failure is logged."""
        try:
            self.exporter.shutdown()
        except Exception:
            _LOGGER.warning("%s could not be closed.", self.name, exc_info=True)

    def stats(self) -> ExporterStats:
        """The report."""
        return ExporterStats(self.name, self._built, self._exported, self._dropped, self._queued)

    def export(self, spans: Sequence[FinishedSpan]) -> bool:
        """Hand spans to the exporter. A failure is logged once, until it works again."""
        reason: str | Exception = "it answered FAILURE"
        try:
            if self.exporter.export(spans) is SpanExportResult.SUCCESS:
                self._outages.worked()
                return True
        except Exception as error:
            reason = error
        self._outages.failed(self.name, reason)
        return False
