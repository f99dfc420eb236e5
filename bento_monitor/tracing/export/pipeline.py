"""Exports finished ledgers outside the request path: bounded, never blocking, every lost span counted."""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan

from ...resilience.rate_limited_log import RateLimitedLog
from ..ledger.clock import ClockStepWarning
from ..ledger.ledger import BatchRecord, Ledger
from .delivery_report import DeliveryReportWriter
from .exporter_state import ExporterState, PipelineStats
from .finished_span import FinishedSpan, FinishedSpanExporter
from .incomplete_span import incomplete_spans
from .span_builder import SpanBuilder

_EXPORT_INTERVAL_S = 0.5
_RECORDS_PER_EXPORT = 128
_RECORDS_PER_STEP, _RECORDS_PER_LATE_STEP = 16, 64
# A step holds the interpreter for under a millisecond; this pause between two steps lets a waiting request run.
_YIELD_S = 0.0002
# Shares of the shutdown timeout: until the drain ends, and until the exporters are closed or given up.
_DRAIN_SHARE = 0.7
_CLOSE_SHARE = 0.9
# From the start of a failed export until the start of the next one.
_HOLD_OFF_S = 1.0
_LAST_WRITE_S = 0.1
_INCOMPLETE_LOG_S = 60.0
_LOGGER = logging.getLogger("bento_monitor")


class Pipeline:
    """Accepts finished ledgers and batches, and exports their spans from one background thread.

    The thread starts with the first record, also in a forked child. A forked child starts with an empty queue and its
    own exporters: a connection that two processes write to delivers the spans of neither.
    """

    def __init__(
        self,
        make_exporters: Callable[[], Sequence[FinishedSpanExporter]],
        make_resource: Callable[[], Resource],
        queue_size: int,
        report: DeliveryReportWriter | None = None,
    ) -> None:
        """Make a pipeline.

        Args:
            make_exporters: makes the exporters of one process; each gets every span. Without exporters, no span is
                built.
            make_resource: makes the resource of the calling process.
            queue_size: number of records that may wait; further records are dropped and counted.
            report: writes the counts to a file for other processes.
        """
        self._make_exporters = make_exporters
        self._make_resource = make_resource
        self._report = report
        self._clock_step = ClockStepWarning()
        self._inherited: list[ExporterState] = []
        self._open()
        self._queue_size = queue_size
        self._incomplete = RateLimitedLog(
            _LOGGER, "The spans of %d records could not be built (%s).", _INCOMPLETE_LOG_S
        )
        self._reset()
        _reset_in_forked_child(self)

    def _open(self) -> None:
        self._pid = os.getpid()
        self._exporter_states = [ExporterState(exporter) for exporter in self._make_exporters()]
        self._builder = SpanBuilder(self._make_resource())

    def _reset(self) -> None:
        self._lock = threading.Condition(threading.Lock())
        self._wake = threading.Event()
        self._hold_off = threading.Event()
        self._queue: deque[Ledger | BatchRecord | ReadableSpan] = deque()
        self._thread: threading.Thread | None = None
        self._is_stopping = self._is_closing = self._is_given_up = False
        self._submitted = self._accepted = self._taken = self._built = self._dropped = self._handed_over = 0

    def reopen(self) -> None:
        """Start again with new exporters after a shutdown: an application may be started more than once."""
        if self._is_stopping:
            self._open()
            self._reset()
            if self._report is not None:
                self._report.reset()

    def _reset_in_child(self) -> None:
        # More is not safe yet: other threads of the parent may have held any lock at the fork.
        self._reset()
        # The inherited exporters stay referenced: closing them here could write to the parent's connections.
        self._inherited += self._exporter_states
        self._exporter_states = [ExporterState(exporter.exporter) for exporter in self._exporter_states]
        if self._report is not None:
            self._report.reset()

    def replace_exporters(
        self, make_exporters: Callable[[], Sequence[FinishedSpanExporter]], make_resource: Callable[[], Resource]
    ) -> None:
        """Replace the exporters; the previous exporters are closed."""
        replaced = self._exporter_states
        self._make_exporters, self._make_resource = make_exporters, make_resource
        self._open()
        for exporter in replaced:
            exporter.close()

    @property
    def resource(self) -> Resource:
        """Resource of this process, attached to every span."""
        return self._builder.resource

    def submit(self, ledger: Ledger) -> None:
        """Submit a finished request; never blocks or raises. A request that is not exported is ignored."""
        if ledger.is_kept and self._exporter_states:
            self._put(ledger)

    def submit_batch(self, record: BatchRecord) -> None:
        """Submit a finished batch; never blocks or raises. A batch without exported requests is ignored."""
        if record.linked and self._exporter_states:
            self._put(record)

    def submit_user_span(self, span: ReadableSpan) -> None:
        """Submit a finished span of user code; never blocks or raises."""
        if self._exporter_states:
            self._put(span)

    def _put(self, record: Ledger | BatchRecord | ReadableSpan) -> None:
        with self._lock:
            self._submitted += 1
            if self._is_stopping or len(self._queue) >= self._queue_size or not self._has_thread():
                self._dropped += 1
            else:
                self._accepted += 1
                self._queue.append(record)

    def _has_thread(self) -> bool:
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="bento-monitor-spans", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return False
            self._thread = thread
        return True

    def stats(self) -> PipelineStats:
        """Return the counts of everything submitted, consistent at one moment."""
        with self._lock:
            waiting = len(self._queue) + self._taken
            exporter_states = tuple(exporter.stats() for exporter in self._exporter_states)
            return PipelineStats(self._submitted, self._built, self._dropped, waiting, exporter_states)

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything submitted so far was passed to the exporters; return False after `timeout_s`."""
        with self._lock:
            target = self._accepted
            self._wake.set()
            return self._lock.wait_for(lambda: self._handed_over >= target, timeout_s)

    def shutdown(self, timeout_s: float) -> None:
        """Export waiting records, close the exporters, and drop what was not exported within `timeout_s`."""
        begun_s = time.monotonic()

        def left_s(share: float) -> float:
            return max(0.0, begun_s + timeout_s * share - time.monotonic())

        with self._lock:
            if self._is_stopping:
                return
            self._is_stopping = True
            thread = self._thread
        self._wake.set()
        self._hold_off.set()
        closer = threading.Thread(target=self._close_exporters, name="bento-monitor-close", daemon=True)
        if thread is not None:
            thread.join(left_s(_DRAIN_SHARE))
        self._is_closing = True
        closer.start()
        closer.join(left_s(_CLOSE_SHARE))
        if thread is not None:
            thread.join(left_s(1.0))
        self._give_up()
        if self._report is not None:
            self._report.stop(max(_LAST_WRITE_S, left_s(1.0)))

    def _give_up(self) -> None:
        with self._lock:
            self._is_given_up = True
            lost = len(self._queue) + self._taken
            stuck = sum(exporter.stats().queued for exporter in self._exporter_states)
            self._dropped += lost
            self._queue.clear()
            self._taken = 0
            for exporter in self._exporter_states:
                exporter.give_up()
        if lost or stuck:
            _LOGGER.warning("Stopped with %d requests and batches and %d spans not exported.", lost, stuck)

    def _close_exporters(self) -> None:
        if self._pid == os.getpid():  # a forked child that has traced nothing still has its parent's exporters
            for exporter in self._exporter_states:
                exporter.close()

    def _run(self) -> None:
        # Exports must not be traced: each export would create spans, and these the next export.
        from opentelemetry.instrumentation.utils import suppress_instrumentation

        if self._pid != os.getpid():
            self._open()
        if self._report is not None:
            self._report.start(self.stats)
        with suppress_instrumentation():
            is_last_round = False
            while not is_last_round:
                self._wake.wait(_EXPORT_INTERVAL_S)
                self._wake.clear()
                self._clock_step.check()
                is_last_round = self._is_stopping
                while not self._is_closing and (records := self._take()):
                    begun_s = time.monotonic()
                    if not self._hand_over(records):
                        # An exporter that is unreachable or asks for a pause is not called again at once.
                        self._hold_off.wait(max(0.0, begun_s + _HOLD_OFF_S - time.monotonic()))

    def _take(self) -> list[Ledger | BatchRecord | ReadableSpan]:
        with self._lock:
            self._taken = min(len(self._queue), _RECORDS_PER_EXPORT)
            return [self._queue.popleft() for _ in range(self._taken)]

    def _hand_over(self, records: Sequence[Ledger | BatchRecord | ReadableSpan]) -> bool:
        """Build spans and export them; return False if an exporter has lost them."""
        spans: list[FinishedSpan] = []
        start = 0
        while start < len(records):
            # If records arrive faster than they are built, longer steps delay requests instead of dropping spans.
            is_late = len(self._queue) * 2 > self._queue_size
            end = start + (_RECORDS_PER_LATE_STEP if is_late else _RECORDS_PER_STEP)
            for record in records[start:end]:
                spans.extend(self._build(record))
            start = end
            time.sleep(_YIELD_S)
        is_whole = True
        for exporter in self._exporter_states:
            if self._is_given_up:
                return True
            is_exported = exporter.export(spans) if spans else True
            is_whole = is_whole and is_exported
            with self._lock:
                exporter.settle(len(spans), is_exported=is_exported)
        with self._lock:
            self._handed_over += len(records)
            self._lock.notify_all()
        return is_whole

    def _build(self, record: Ledger | BatchRecord | ReadableSpan) -> list[FinishedSpan]:
        spans: list[FinishedSpan] = []
        is_built = True
        try:
            spans = self._builder.spans_of(record)
        except Exception as error:  # the content of this record may be the cause: build the others
            self._incomplete.note(type(error).__qualname__)
            try:
                spans = incomplete_spans(self._builder, record, error)
            except Exception:
                is_built = False
        with self._lock:
            if self._taken:
                self._taken -= 1
                self._built += is_built
                self._dropped += not is_built
                # Under the same lock, so that a record is always counted as waiting or queued.
                for exporter in self._exporter_states:
                    exporter.enqueue(len(spans))
        return spans


def _reset_in_forked_child(pipeline: Pipeline) -> None:
    method = weakref.WeakMethod(pipeline._reset_in_child)  # noqa: SLF001

    def reset() -> None:
        bound = method()
        if bound is not None:
            bound()

    os.register_at_fork(after_in_child=reset)
