"""What became of everything that a pipeline was given: counts that add up at any moment."""

from __future__ import annotations

from dataclasses import dataclass


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
