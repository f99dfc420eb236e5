"""The file of the embedded store: schema, opening, and its limit in bytes."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PAGE_BYTES = 4096
# SQLite's shared-memory index of the write-ahead log, which is part of the budget.
_SHM_BYTES = 32 * 1024
_BUSY_TIMEOUT_S = 1.0
_OPENING_ATTEMPTS = 10
_OPENING_PAUSE_S = 0.02

_SCHEMA = """
CREATE TABLE IF NOT EXISTS spans (
    id INTEGER PRIMARY KEY,
    trace_id TEXT NOT NULL,
    span_id TEXT NOT NULL,
    parent_span_id TEXT,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    service TEXT NOT NULL,
    start_ns INTEGER NOT NULL,
    end_ns INTEGER NOT NULL,
    is_error INTEGER NOT NULL,
    attributes TEXT NOT NULL,
    links TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS spans_of_trace ON spans (trace_id);
CREATE INDEX IF NOT EXISTS slow_requests ON spans (end_ns - start_ns) WHERE kind = 'SERVER';
"""


@dataclass(frozen=True, slots=True)
class Budget:
    """How the bytes of a store are divided between its file and the write-ahead log."""

    max_bytes: int

    @property
    def log_bytes(self) -> int:
        """Maximum bytes of the write-ahead log."""
        return self.max_bytes // 4

    @property
    def file_pages(self) -> int:
        """Maximum pages of the file itself."""
        return (self.max_bytes - self.log_bytes - _SHM_BYTES) // PAGE_BYTES

    @property
    def bytes_per_transaction(self) -> int:
        """Maximum bytes of new rows in a transaction; with its indices and deletions they must fit into the log."""
        return max(PAGE_BYTES, self.log_bytes // 16)


def store_path(home: Path) -> Path:
    """Return the path of the monitor's store."""
    return home / "traces.db"


def log_path(path: Path) -> Path:
    """Return the path of a store's write-ahead log."""
    return path.with_name(f"{path.name}-wal")


def open_for_writing(path: Path, budget: Budget) -> sqlite3.Connection:
    """Open a store, or create it: a file and a folder that only their owner may read.

    Raises:
        OSError: the folder or the file cannot be created.
        sqlite3.Error: the file is not a trace store.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Exclusively: closing an existing file would release the locks of this process's other connections.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    for _ in range(_OPENING_ATTEMPTS - 1):
        try:
            return _open(path, budget)
        except sqlite3.OperationalError as error:
            # While another process creates the store, SQLite returns "busy" at once, whatever the timeout.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            time.sleep(_OPENING_PAUSE_S)
    return _open(path, budget)


def _open(path: Path, budget: Budget) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        # `empty_log` checkpoints instead, when the log exceeds its size in bytes.
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        if connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'slow_requests'").fetchone()[0] == 0:
            connection.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}COMMIT;")
        shrink(connection, budget)
        connection.execute(f"PRAGMA max_page_count = {budget.file_pages}")
    except BaseException:
        connection.close()
        raise
    return connection


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open an existing store.

    Raises:
        sqlite3.Error: the store does not exist or cannot be read.
    """
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=_BUSY_TIMEOUT_S)
    connection.execute("PRAGMA query_only = ON")
    return connection


def shrink(connection: sqlite3.Connection, budget: Budget) -> None:
    """Shrink a file that exceeds its budget, because the budget was larger before."""
    while (excess := _pragma(connection, "page_count") - budget.file_pages) > 0:
        if free_pages(connection) < excess and not delete_oldest(connection):
            return
        connection.execute(f"PRAGMA incremental_vacuum({excess})").fetchall()
        empty_log(connection)


def free_pages(connection: sqlite3.Connection) -> int:
    """Return the number of unused pages in the file."""
    return _pragma(connection, "freelist_count")


def room_pages(connection: sqlite3.Connection, budget: Budget) -> int:
    """Return the number of pages that can be filled within the budget."""
    return budget.file_pages - _pragma(connection, "page_count") + free_pages(connection)


def delete_oldest(connection: sqlite3.Connection, share: int = 16) -> bool:
    """Delete about the oldest 1/`share` of the spans, but only whole requests; return False if there are no spans."""
    first, last = connection.execute("SELECT min(id), max(id) FROM spans").fetchone()
    if first is None:
        return False
    border = first + (last - first) // share
    # A request's spans were written one after another: move the border to the end of the request.
    row = connection.execute(
        "SELECT min(id) FROM spans WHERE id > :border"
        " AND trace_id <> (SELECT trace_id FROM spans WHERE id <= :border ORDER BY id DESC LIMIT 1)",
        {"border": border},
    ).fetchone()
    connection.execute("DELETE FROM spans WHERE id < ?", (row[0] if row[0] is not None else last + 1,))
    return True


def log_bytes(path: Path) -> int:
    """Return the current size of the write-ahead log."""
    try:
        return log_path(path).stat().st_size
    except FileNotFoundError:
        return 0


def empty_log(connection: sqlite3.Connection) -> bool:
    """Move the log into the file and truncate it; return False if a reader or writer blocked this for too long."""
    is_busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    return not is_busy


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value
