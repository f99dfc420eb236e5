"""A thread that writes access-log lines and BentoML's metrics of finished exchanges."""

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
# Above this, a request writes the waiting exchanges itself: no line is lost, and memory is bounded.
_MAX_WAITING = 20_000


class ExchangeWriter(Protocol):
    """Writes finished exchanges, several at a time, in the order in which they ended."""

    def write(self, exchanges: Sequence[Exchange]) -> None:
        """Write the exchanges."""
        ...


class LogWriter(ExchangeWriter, Protocol):
    """An `ExchangeWriter` for the access log."""

    def note(self, exchange: Exchange) -> None:
        """Keep the parts of the request's context that `write` needs. Called in that context, at the last byte."""
        ...


class SeriesWriter(ExchangeWriter, Protocol):
    """An `ExchangeWriter` for metrics, which also shows the number of exchanges in progress."""

    def start(self) -> None:
        """Prepare. Called on the event loop's thread before the first request."""
        ...

    def show_in_progress(self, counts: Mapping[str, int]) -> None:
        """Show the number of exchanges in progress, by endpoint."""
        ...


class ExchangeRecords:
    """Collects exchanges on the event loop; a thread passes them to the writers twice per second, or when many wait."""

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
        """Start the thread. Exchanges that ended before are kept."""
        if self._series is not None:
            self._start_breaker.run(self._series.start)
        self._thread.start()

    def begin(self, exchange: Exchange) -> None:
        """Count an exchange as in progress."""
        self._in_progress[exchange.endpoint] += 1

    def answer(self, exchange: Exchange) -> None:
        """Queue an exchange for writing. Called in the request's context, just before the last byte of the response."""
        if self._access_log is not None:
            self._note_breaker.run(self._access_log.note, exchange)
        exchange.close()
        self._ended.append(exchange)
        self._thread.look()
        if len(self._ended) > _MAX_WAITING:
            self.flush()

    def end(self, exchange: Exchange) -> None:
        """Count an exchange as no longer in progress. Without an answer it leaves no record, as in BentoML."""
        self._in_progress[exchange.endpoint] -= 1

    def flush(self) -> None:
        """Write all exchanges that have ended so far."""
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
            # Break a reference cycle: the request's context holds its `send`, which holds the exchange.
            exchange.context = None

    def stop(self) -> None:
        """End the thread, and write all remaining exchanges."""
        self._thread.stop(timeout_s=2.0)
        self.flush()

    def _flush_if_needed(self) -> None:
        if self._ended or dict(self._in_progress) != self._shown:
            self.flush()
