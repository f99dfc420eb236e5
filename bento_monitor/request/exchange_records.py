"""Access-log lines and BentoML's metrics of ended exchanges, written by a thread of their own."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Protocol

from ..resilience.circuit_breaker import CircuitBreaker
from ..resilience.drain import DrainThread, drain_in_chunks
from .exchange import Exchange

_INTERVAL_S = 0.5
_STEP = 128
# More may wait only for as long as a request takes to write them itself: no line is lost, and memory is bounded.
_MAX_WAITING = 20_000


class ExchangeWriter(Protocol):
    """Takes ended exchanges, some at a time and in the order in which they ended."""

    def write(self, exchanges: Sequence[Exchange]) -> None:
        """Write them."""
        ...


class LogWriter(ExchangeWriter, Protocol):
    """A writer of the access log."""

    def note(self, exchange: Exchange) -> None:
        """Keep what is needed of the current context, which is that of the request; called at its last byte."""
        ...


class SeriesWriter(ExchangeWriter, Protocol):
    """A writer that also shows how many exchanges are in progress."""

    def start(self) -> None:
        """Be ready; called on the event loop's thread before the first request."""
        ...

    def show_in_progress(self, counts: Mapping[str, int]) -> None:
        """Show the number of each endpoint."""
        ...


class ExchangeRecords:
    """Collects exchanges on the event loop; its thread hands them to the writers a few times a second."""

    def __init__(self, series: SeriesWriter | None, access_log: LogWriter | None) -> None:
        self._series = series
        self._access_log = access_log
        self._writers: list[tuple[ExchangeWriter, CircuitBreaker]] = []
        if series is not None:
            self._writers.append((series, CircuitBreaker("Writing metrics")))
        if access_log is not None:
            self._writers.append((access_log, CircuitBreaker("Writing the access log")))
        self._note_breaker = CircuitBreaker("Noting requests for the access log")
        self._start_breaker = CircuitBreaker("Making the metrics")
        self._in_progress: Counter[str] = Counter()
        self._shown: dict[str, int] = {}
        self._ended: deque[Exchange] = deque()
        self._lock = threading.Lock()
        self._thread = DrainThread("bento-monitor-records", self._ended, _INTERVAL_S, self._flush_if_needed)

    def start(self) -> None:
        """Start the thread; nothing is lost before that."""
        if self._series is not None:
            self._start_breaker.run(self._series.start)
        self._thread.start()

    def begin(self, exchange: Exchange) -> None:
        """An exchange has begun."""
        self._in_progress[exchange.endpoint] += 1

    def answer(self, exchange: Exchange) -> None:
        """The last byte of its answer is about to be sent, in the request's context: it is written from now on."""
        if self._access_log is not None:
            self._note_breaker.run(self._access_log.note, exchange)
        exchange.close()
        self._ended.append(exchange)
        self._thread.look()
        if len(self._ended) > _MAX_WAITING:
            self.flush()

    def end(self, exchange: Exchange) -> None:
        """An exchange is in progress no more; one that was not answered has left no record, as in BentoML."""
        self._in_progress[exchange.endpoint] -= 1

    def flush(self) -> None:
        """Write everything that has ended until now."""
        with self._lock:
            for ended in drain_in_chunks(self._ended, _STEP):
                self._write(ended)
            if self._series is not None:
                self._shown = dict(self._in_progress)
                self._series.show_in_progress(self._shown)

    def _write(self, ended: Sequence[Exchange]) -> None:
        for writer, breaker in self._writers:
            breaker.run(writer.write, ended)
        for exchange in ended:
            # The request's context leads to its `send`, and that to the exchange: a cycle, for the collector to find.
            exchange.context = None

    def stop(self) -> None:
        """Write what is left, and end the thread."""
        self._thread.stop(timeout_s=2.0)
        self.flush()

    def _flush_if_needed(self) -> None:
        if self._ended or dict(self._in_progress) != self._shown:
            self.flush()
