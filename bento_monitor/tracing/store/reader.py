"""Reads the embedded store: the slowest requests, and single traces with their linked batches."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from ...conventions import OTEL_SCOPE_NAME, SCOPE_NAME
from ...errors import InputError
from .database import open_for_reading
from .trace_record import SpanLink, SpanRecord, Trace, TraceSummary, summary_of

_TRACE_ID_PREFIX = re.compile(r"[0-9a-f]{1,32}")
_MATCHES_SHOWN = 5
_COLUMNS = (
    "SELECT trace_id, span_id, parent_span_id, name, kind, service, start_ns, end_ns, is_error, attributes, links"
    " FROM spans "
)
_SLOWEST = (
    _COLUMNS + "WHERE kind = 'SERVER' AND end_ns - start_ns >= :slower_than"
    " AND (:service IS NULL OR service = :service) AND start_ns >= :since"
    " ORDER BY end_ns - start_ns DESC LIMIT :limit"
)


class StoreReader:
    """Reads the traces of a monitored service, also while its workers write."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def slowest(
        self, limit: int, *, service: str | None = None, since_ns: int | None = None, slower_than_ns: int = 0
    ) -> list[TraceSummary]:
        """Return the slowest requests, the slowest first; an empty list if there is no store.

        Raises:
            InputError: the file is not a trace store, or cannot be read.
        """
        if not self._path.exists():
            return []
        wanted = {"limit": limit, "service": service, "since": since_ns or 0, "slower_than": slower_than_ns}
        with self._connected() as connection:
            servers = [_span(row) for row in connection.execute(_SLOWEST, wanted)]
            return [_summary(connection, server) for server in servers]

    def trace(self, trace_id_prefix: str) -> Trace:
        """Return the only trace whose id begins with a prefix.

        Raises:
            InputError: no trace or more than one matches, or the file cannot be read.
        """
        prefix = trace_id_prefix.strip().lower()
        if not _TRACE_ID_PREFIX.fullmatch(prefix):
            raise InputError(f"{trace_id_prefix!r} is not a trace id: give its first hexadecimal digits, up to 32.")
        if not self._path.exists():
            raise _unknown(prefix)
        with self._connected() as connection:
            trace_id = _only_match(connection, prefix)
            spans = _select(connection, "WHERE trace_id = ? ORDER BY start_ns, id", trace_id)
            return Trace(trace_id, tuple(spans), tuple(_linked(connection, spans)))

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(open_for_reading(self._path)) as connection:
                yield connection
        except sqlite3.Error as error:
            raise InputError(
                f"The trace store {self._path} cannot be read ({error}): delete it, or set BENTO_MONITOR_HOME."
            ) from error


def _only_match(connection: sqlite3.Connection, prefix: str) -> str:
    # "g" sorts after every hexadecimal digit, so the index suffices for this query.
    rows = connection.execute(
        "SELECT DISTINCT trace_id FROM spans WHERE trace_id >= ? AND trace_id < ? LIMIT ?",
        (prefix, f"{prefix}g", _MATCHES_SHOWN + 1),
    )
    matches = [row[0] for row in rows]
    if not matches:
        raise _unknown(prefix)
    if len(matches) > 1:
        shown = ", ".join(matches[:_MATCHES_SHOWN]) + (", ..." if len(matches) > _MATCHES_SHOWN else "")
        raise InputError(f"More than one trace begins with {prefix}: {shown}. Give more digits.")
    return str(matches[0])


def _unknown(prefix: str) -> InputError:
    return InputError(f"No trace begins with {prefix}: run bento-monitor traces for a list.")


def _select(connection: sqlite3.Connection, where: str, *values: str) -> list[SpanRecord]:
    return [_span(row) for row in connection.execute(_COLUMNS + where, values)]


def _linked(connection: sqlite3.Connection, spans: Iterable[SpanRecord]) -> Iterator[SpanRecord]:
    for link in dict.fromkeys(link for span in spans for link in span.links):
        yield from _select(
            connection,
            "WHERE trace_id = ? AND ? IN (span_id, parent_span_id) ORDER BY start_ns, id",
            link.trace_id,
            link.span_id,
        )


def _summary(connection: sqlite3.Connection, server: SpanRecord) -> TraceSummary:
    stages = _select(connection, "WHERE trace_id = ? AND parent_span_id = ?", server.trace_id, server.span_id)
    return summary_of(server, stages)


def _span(row: tuple[Any, ...]) -> SpanRecord:
    trace_id, span_id, parent_span_id, name, kind, service, start_ns, end_ns, is_error, packed, links = row
    attributes = json.loads(packed)
    scope = attributes.pop(OTEL_SCOPE_NAME, SCOPE_NAME)
    return SpanRecord(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=parent_span_id,
        name=name,
        kind=kind,
        service=service,
        start_ns=start_ns,
        end_ns=end_ns,
        is_error=bool(is_error),
        attributes=attributes,
        links=tuple(SpanLink(*link) for link in json.loads(links)),
        scope=scope,
    )
