"""The exporter of the embedded store: several worker processes write to one file of bounded size."""

from __future__ import annotations

import json
import math
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from opentelemetry.sdk.resources import SERVICE_NAME
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import format_span_id, format_trace_id

from ...conventions import OTEL_SCOPE_NAME, SCOPE_NAME
from ..export.finished_span import FinishedSpan
from ..privacy.allow_list import AttributeValue
from .database import PAGE_BYTES, Budget, delete_oldest, empty_log, log_bytes, open_for_writing, room_pages

_LOG_TIMEOUT_S = 2.0
_INSERT = (
    "INSERT INTO spans (trace_id, span_id, parent_span_id, name, kind, service, start_ns, end_ns, is_error,"
    " attributes, links) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_Row = tuple[str, str, str | None, str, str, str, int, int, int, str, str]

# Connections that may be neither used nor closed: connections inherited by a forked child, and connections to a deleted
# file, because closing them would delete the new file's log (https://sqlite.org/howtocorrupt.html, 2.6 and 2.4).
_abandoned: list[sqlite3.Connection] = []


class StoreSpanExporter:
    """Writes spans to a SQLite file of at most `max_bytes`, with its log; the oldest requests are deleted first."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        self._budget = Budget(max_bytes)
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._inode = 0

    def export(self, spans: Sequence[FinishedSpan]) -> SpanExportResult:
        """Write spans.

        Raises:
            OSError: the folder cannot be written.
            sqlite3.Error: the disk is full, the file is locked for too long, or it is not a trace store.
        """
        if self._pid != os.getpid():
            self._abandon()
            self._reset()
        with self._lock:
            try:
                connection = self._connect()
                for rows in _portions([_row(span) for span in spans], self._budget.bytes_per_transaction):
                    self._write(connection, rows)
            except (OSError, sqlite3.Error):
                self._close()
                raise
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Close the file."""
        with self._lock:
            self._close()

    def _connect(self) -> sqlite3.Connection:
        if self._connection is not None and not self._is_same_file():
            self._abandon()
        if self._connection is None:
            self._connection = open_for_writing(self._path, self._budget)
            self._inode = self._path.stat().st_ino
        return self._connection

    def _is_same_file(self) -> bool:
        # A person may delete the store while a server runs; the store is then created again.
        try:
            return self._path.stat().st_ino == self._inode
        except FileNotFoundError:
            return False

    def _abandon(self) -> None:
        if self._connection is not None:
            _abandoned.append(self._connection)
            self._connection = None

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _write(self, connection: sqlite3.Connection, rows: Sequence[_Row]) -> None:
        self._begin(connection)
        try:
            self._make_room(connection, rows)
            connection.executemany(_INSERT, rows)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _begin(self, connection: sqlite3.Connection) -> None:
        """Begin a transaction with half of the log free, so that the transaction fits after other processes' writes."""
        deadline_s = time.monotonic() + _LOG_TIMEOUT_S
        connection.execute("BEGIN IMMEDIATE")
        while log_bytes(self._path) > self._budget.log_bytes // 2:
            connection.execute("ROLLBACK")
            if time.monotonic() > deadline_s:
                raise sqlite3.OperationalError("the log of the trace store is in use and cannot be emptied")
            # Another process may fill the log again before this process gets the lock.
            empty_log(connection)
            connection.execute("BEGIN IMMEDIATE")

    def _make_room(self, connection: sqlite3.Connection, rows: Sequence[_Row]) -> None:
        # Twice the size of the rows, for the keys in two indices and partly filled pages.
        needed = 8 + 2 * sum(_size(row) for row in rows) // PAGE_BYTES
        while room_pages(connection, self._budget) < needed and delete_oldest(connection):
            pass


def _portions(rows: Sequence[_Row], max_bytes: int) -> Iterator[list[_Row]]:
    portion: list[_Row] = []
    size = 0
    for row in rows:
        if portion and size + _size(row) > max_bytes:
            yield portion
            portion, size = [], 0
        portion.append(row)
        size += _size(row)
    if portion:
        yield portion


def _size(row: _Row) -> int:
    # Ids, name, service and times take about 150 bytes.
    return 150 + len(row[-2]) + len(row[-1])


def _row(span: FinishedSpan) -> _Row:
    return (
        format_trace_id(span.trace_id),
        format_span_id(span.span_id),
        format_span_id(span.parent_span_id) if span.parent_span_id else None,
        span.name,
        span.kind.name,
        str(span.resource.attributes.get(SERVICE_NAME, "")),
        span.start_ns,
        span.end_ns,
        int(span.is_error),
        _as_json(span.attributes if span.scope == SCOPE_NAME else span.attributes | {OTEL_SCOPE_NAME: span.scope}),
        json.dumps([[format_trace_id(trace_id), format_span_id(span_id)] for trace_id, span_id in span.links]),
    )


def _as_json(attributes: Mapping[str, AttributeValue]) -> str:
    """Return attributes as JSON; infinities and NaN become texts, because JSON cannot represent them."""
    try:
        return json.dumps(attributes, allow_nan=False)
    except ValueError:
        return json.dumps(
            {
                name: str(value) if isinstance(value, float) and not math.isfinite(value) else value
                for name, value in attributes.items()
            }
        )
