"""Metrics of every request and batch of a worker: queued on the event loop, counted by a separate thread."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .. import conventions as names
from ..resilience.circuit_breaker import BreakerLevel, CircuitBreaker
from ..resilience.drain import DrainThread, drain_in_chunks
from ..tracing.ledger.ledger import BatchRecord, Ledger, TracedWork
from .stage_table import stage_durations_s

_INTERVAL_S = 1.0
_STEP = 256
# If more ledgers wait, the next request counts them itself: none is lost, and memory is bounded.
_MAX_WAITING = 20_000


@dataclass(frozen=True, slots=True)
class Exemplar:
    """The exemplar of a series: the slowest traced request of those counted together."""

    value_s: float
    trace_id: int
    span_id: int


@dataclass(frozen=True, slots=True)
class Levels:
    """Values that are read when metrics are written: current levels, and totals since the worker's start."""

    in_flight: int
    queue_depth: dict[str, int]
    rate_limited: int
    records_dropped: int
    spans: dict[tuple[str, str], int]  # by exporter and state
    releases: dict[tuple[str, ...], int] = field(default_factory=dict)  # by runner, release and phase
    fallbacks: dict[tuple[str, str, str], int] = field(default_factory=dict)  # by runner, release and reason
    swaps: dict[tuple[str, str], int] = field(default_factory=dict)  # by outcome and reason
    breakers: dict[str, BreakerLevel] = field(default_factory=dict)  # by part
    hooks: dict[str, bool] = field(default_factory=dict)  # whether each hook into BentoML is used


class MetricsSink(Protocol):
    """A destination of metrics."""

    def start(self) -> None:
        """Start; called on the event loop's thread before the first request."""

    def observe(
        self, metric: str, labels: tuple[str, ...], values: NDArray[np.float64], exemplar: Exemplar | None
    ) -> None:
        """Add one or more values to a histogram."""

    def show(self, levels: Levels, thread_cpu_s: dict[str, float]) -> None:
        """Update levels and totals."""

    def stop(self) -> None:
        """Write the remaining values and stop."""


class RequestMetrics:
    """Counts ledgers into sinks. A circuit breaker counts failures, which never affect a request."""

    def __init__(self, sinks: Sequence[MetricsSink], read_levels: Callable[[], Levels]) -> None:
        self._sinks = list(sinks)
        self._read_levels = read_levels
        self._breaker = CircuitBreaker("Counting requests")
        self._ledgers: deque[Ledger] = deque()
        self._batches: deque[BatchRecord] = deque()
        self._lock = threading.Lock()
        self._show_at_s = 0.0
        self._thread: DrainThread | None = None

    def start(self) -> None:
        """Start the sinks and the thread, in the serving process."""
        for sink in self._sinks:
            sink.start()
        if self._sinks:
            self._thread = DrainThread("bento-monitor-metrics", self._ledgers, _INTERVAL_S, self._count_and_show)
            self._thread.start()

    def note(self, ledger: Ledger) -> None:
        """Queue a finished request for counting."""
        if self._thread is not None:
            self._ledgers.append(ledger)
            self._thread.look()
            if len(self._ledgers) > _MAX_WAITING:
                self.flush()

    def note_batch(self, record: BatchRecord) -> None:
        """Queue a finished batch for counting."""
        if self._thread is not None:
            self._batches.append(record)

    def flush(self) -> None:
        """Count everything that has ended so far, and update the levels."""
        with self._lock:
            self._count_waiting()
            self._breaker.run(self._show)

    def stop(self) -> None:
        """Count the remaining records, and stop the thread and the sinks."""
        if self._thread is not None:
            self._thread.stop(timeout_s=1.0)
            self.flush()
            for sink in self._sinks:
                self._breaker.run(sink.stop)

    def _count_and_show(self) -> None:
        with self._lock:
            self._count_waiting()
            if time.monotonic() >= self._show_at_s:
                self._breaker.run(self._show)

    def _count_waiting(self) -> None:
        for ledgers in drain_in_chunks(self._ledgers, _STEP):
            self._breaker.run(self._count, ledgers)
        for batches in drain_in_chunks(self._batches, _STEP):
            self._breaker.run(self._count_batches, batches)

    def _count(self, ledgers: Sequence[Ledger]) -> None:
        stages_s, totals_s = stage_durations_s(ledgers)
        by_route, by_status = defaultdict(list), defaultdict(list)
        for index, ledger in enumerate(ledgers):
            route = ledger.route or names.ROUTE_UNMATCHED
            by_route[route].append(index)
            by_status[route, str(ledger.status)].append(index)
        traced = np.array([ledger.is_kept for ledger in ledgers])
        for labels, places in by_status.items():
            indices = np.array(places)
            self._observe(names.METRIC_REQUEST_DURATION, labels, totals_s[indices], indices, traced, ledgers)
        for route, places in by_route.items():
            indices = np.array(places)
            for stage, values in zip(names.STAGES, stages_s[indices].T, strict=True):
                self._observe(names.METRIC_STAGE_DURATION, (route, _short(stage)), values, indices, traced, ledgers)
        lags_s = np.array([ledger.loop_lag_ns for ledger in ledgers]) / 1e9
        self._observe(names.METRIC_LOOP_LAG, (), lags_s, np.arange(len(ledgers)), traced, ledgers)
        self._count_gpu(ledgers)

    def _observe(
        self,
        metric: str,
        labels: tuple[str, ...],
        values: NDArray[np.float64],
        indices: NDArray[np.int64],
        traced: NDArray[np.bool_],
        ledgers: Sequence[Ledger],
    ) -> None:
        """Observe the values of the ledgers at these indices, except NaN values."""
        is_there = ~np.isnan(values)
        if not is_there.any():
            return
        exemplar = None
        of_traced = np.where(is_there & traced[indices], values, -1.0)
        slowest = int(of_traced.argmax())
        if of_traced[slowest] >= 0:
            slowest_ledger = ledgers[indices[slowest]]
            exemplar = Exemplar(float(values[slowest]), slowest_ledger.trace_id, slowest_ledger.span_id)
        for sink in self._sinks:
            sink.observe(metric, labels, values[is_there], exemplar)

    def _count_batches(self, batches: Sequence[BatchRecord]) -> None:
        sizes = defaultdict(list)
        for record in batches:
            sizes[record.api].append(float(record.size))
        self._observe_each(names.METRIC_BATCH_SIZE, sizes)
        self._count_gpu(batches)

    def _count_gpu(self, records: Sequence[TracedWork]) -> None:
        took_s = defaultdict(list)
        for record in records:
            for call in record.model_calls:
                if (gpu_ns := call.gpu_ns()) is not None:
                    took_s[call.runner].append(gpu_ns / 1e9)
        self._observe_each(names.METRIC_MODEL_GPU, took_s)

    def _observe_each(self, metric: str, values_of: Mapping[str, Sequence[float]]) -> None:
        """Observe values by label."""
        for label, values in values_of.items():
            for sink in self._sinks:
                sink.observe(metric, (label,), np.array(values), None)

    def _show(self) -> None:
        self._show_at_s = time.monotonic() + _INTERVAL_S
        levels, cpu_s = self._read_levels(), _cpu_of_our_threads_s()
        for sink in self._sinks:
            sink.show(levels, cpu_s)


def _short(stage: str) -> str:
    """Return the short name of a stage, such as `infer` for `bento_monitor.stage.infer_ns`."""
    return stage.removeprefix("bento_monitor.stage.").removesuffix("_ns")


def _cpu_of_our_threads_s() -> dict[str, float]:
    found: dict[str, float] = defaultdict(float)
    for thread in threading.enumerate():
        if thread.name.startswith("bento-monitor-") and thread.native_id is not None:
            try:
                found[thread.name.removeprefix("bento-monitor-")] += time.clock_gettime(_cpu_clock_of(thread.native_id))
            except OSError:  # the thread has ended meanwhile
                continue
    return dict(found)


def _cpu_clock_of(thread_id: int) -> int:
    """Return the id of Linux's CPU-time clock of a thread of this process.

    Reading the clock of an ended thread raises OSError; `time.pthread_getcpuclockid` would read freed memory.
    Source: `CPUCLOCK_PERTHREAD_MASK` and `CPUCLOCK_SCHED` of linux/posix-timers_types.h.
    """
    return (~thread_id << 3) | 4 | 2
