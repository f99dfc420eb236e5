from __future__ import annotations

import multiprocessing
import os
import sqlite3
import stat
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from opentelemetry.sdk.resources import Resource

from bento_monitor.errors import InputError
from bento_monitor.tracing.export.span_builder import SpanBuilder
from bento_monitor.tracing.store.database import log_path, store_path
from bento_monitor.tracing.store.reader import StoreReader
from bento_monitor.tracing.store.writer import StoreSpanExporter

MS = 1_000_000
MIB = 2**20


def builder(service: str = "demo") -> SpanBuilder:
    return SpanBuilder(Resource({"service.name": service}), lambda monotonic_ns: monotonic_ns)


def bytes_on_disk(path: Path) -> int:
    beside = path, log_path(path), path.with_name(f"{path.name}-shm")
    return sum(file.stat().st_size for file in beside if file.exists())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return store_path(tmp_path / "home")


@pytest.fixture
def exporter(path: Path):
    made = StoreSpanExporter(path, MIB)
    yield made
    made.shutdown()


def test_batch_and_its_requests_are_read_back_with_their_links(path, exporter, finished_batch) -> None:
    record = finished_batch(200)
    exporter.export([*builder().batch(record), *(s for m in record.members for s in builder().request(m))])
    member = record.members[3]
    found = StoreReader(path).trace(f"{member.trace_id:032x}")
    assert [span.name for span in found.spans] == ["POST /encode", "parse", "queue", "infer", "serialize"]
    assert [span.name for span in found.linked] == ["batch", "model"]
    infer = found.spans[3]
    assert infer.attributes["bento_monitor.batch.position"] == 3
    assert [(link.trace_id, link.span_id) for link in infer.links] == [
        (f"{record.trace_id:032x}", f"{record.span_id:016x}")
    ]
    batch = found.linked[0]
    assert (infer.trace_id, infer.span_id) in {(link.trace_id, link.span_id) for link in batch.links}
    assert len(batch.links) == 200
    assert found.spans[0].duration_ns == 12 * MS


def test_slowest_requests_come_first_for_one_service_or_all(path, exporter, finished_ledger) -> None:
    for index, service in enumerate(["a", "b", "a", "a"]):
        ledger = finished_ledger((index + 1) * 1000 * MS)
        ledger.started_ns += index * MS
        ledger.ended_ns = ledger.serialize_started_ns = ledger.serialized_ns = ledger.started_ns
        ledger.sent_ns = ledger.received_ns + (20 + index) * MS
        exporter.export(builder(service).request(ledger))
    reader = StoreReader(path)
    assert [item.duration_ns // MS for item in reader.slowest(3)] == [23, 22, 21]
    assert [item.duration_ns // MS for item in reader.slowest(9, service="a")] == [23, 22, 20]
    assert [item.duration_ns // MS for item in reader.slowest(9, since_ns=3000 * MS)] == [23, 22]
    assert [item.duration_ns // MS for item in reader.slowest(9, slower_than_ns=22 * MS)] == [23, 22]
    slowest = reader.slowest(1)[0]
    assert (slowest.service, slowest.route, slowest.status_code) == ("a", "/encode", 200)
    assert (slowest.largest_stage, slowest.largest_stage_ns) == ("queue", 7 * MS)


def test_prefix_finds_a_trace_only_if_unique(path, exporter, finished_ledger) -> None:
    for trace_id in (0xABC1 << 112, 0xABC2 << 112):
        ledger = finished_ledger()
        ledger.trace_id = trace_id
        exporter.export(builder().request(ledger))
    reader = StoreReader(path)
    assert reader.trace("ABC1").trace_id == f"{0xABC1 << 112:032x}"
    with pytest.raises(InputError, match="More than one trace begins with abc: abc1"):
        reader.trace("abc")
    with pytest.raises(InputError, match="No trace begins with abd"):
        reader.trace("abd")
    with pytest.raises(InputError, match="is not a trace id"):
        reader.trace("x%")


def test_only_the_owner_can_read_the_store(path, exporter, finished_ledger) -> None:
    exporter.export(builder().request(finished_ledger()))
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_flood_stays_within_the_budget_and_keeps_the_newest_requests_complete(path, exporter, finished_ledger) -> None:
    largest = 0
    for round_number in range(60):
        ledgers = [finished_ledger((round_number * 100 + index + 1) * 1000) for index in range(100)]
        exporter.export([span for ledger in ledgers for span in builder().request(ledger)])
        largest = max(largest, bytes_on_disk(path))
    assert MIB // 2 < largest <= MIB
    reader = StoreReader(path)
    kept = reader.slowest(10_000)
    assert 200 < len(kept) < 6000
    newest = sorted(item.start_ns for item in kept)
    assert newest == [(6000 - len(kept) + index + 1) * 1000 for index in range(len(kept))]
    assert all(len(reader.trace(item.trace_id).spans) == 5 for item in kept[::50])


def test_large_batches_stay_within_the_budget(path, exporter, finished_batch) -> None:
    for _ in range(40):
        exporter.export(builder().batch(finished_batch(500)))
        assert bytes_on_disk(path) <= MIB


def test_smaller_budget_shrinks_an_existing_file(path, finished_ledger) -> None:
    large = StoreSpanExporter(path, 4 * MIB)
    large.export([span for index in range(1500) for span in builder().request(finished_ledger((index + 1) * 1000))])
    large.shutdown()
    assert bytes_on_disk(path) > MIB
    small = StoreSpanExporter(path, MIB)
    small.export(builder().request(finished_ledger(1501 * 1000)))
    assert bytes_on_disk(path) <= MIB
    assert max(item.start_ns for item in StoreReader(path).slowest(10_000)) == 1501 * 1000
    small.shutdown()


def write_requests(path: Path, service: str, rounds: int, ledger_of) -> None:
    exporter = StoreSpanExporter(path, MIB)
    for number in range(rounds):
        ledgers = [ledger_of((number * 20 + index + 1) * 1000) for index in range(20)]
        exporter.export([span for ledger in ledgers for span in builder(service).request(ledger)])
        assert bytes_on_disk(path) <= MIB
    exporter.shutdown()


def run_two_writers(path: Path, rounds: int, ledger_of) -> None:
    fork = multiprocessing.get_context("fork")
    writers = [fork.Process(target=write_requests, args=(path, service, rounds, ledger_of)) for service in ("a", "b")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0, 0]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_concurrent_writes_of_two_processes_lose_nothing(path, finished_ledger) -> None:
    run_two_writers(path, 12, finished_ledger)
    found = StoreReader(path).slowest(10_000)
    assert Counter(item.service for item in found) == {"a": 240, "b": 240}


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_two_flooding_processes_keep_one_budget_and_an_intact_file(path, finished_ledger) -> None:
    run_two_writers(path, 40, finished_ledger)
    assert 200 < len(StoreReader(path).slowest(10_000)) < 1600
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_store_deleted_while_a_server_runs_is_recreated(path, exporter, finished_ledger) -> None:
    exporter.export(builder().request(finished_ledger(1000)))
    for file in list(path.parent.iterdir()):
        file.unlink()
    exporter.export(builder().request(finished_ledger(2000)))
    assert [item.start_ns for item in StoreReader(path).slowest(9)] == [2000]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forked_child_writes_through_its_own_connection(path, exporter, finished_ledger) -> None:
    exporter.export(builder().request(finished_ledger(1000)))
    parents = exporter._connection
    child = os.fork()
    if child == 0:
        code = 1
        try:
            exporter.export(builder().request(finished_ledger(2000)))
            code = 0 if exporter._connection is not parents else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    exporter.export(builder().request(finished_ledger(3000)))
    assert {item.start_ns for item in StoreReader(path).slowest(9)} == {1000, 2000, 3000}


def test_folder_that_cannot_be_created_fails_only_the_export(tmp_path: Path, finished_ledger) -> None:
    (tmp_path / "file").write_text("in the way")
    exporter = StoreSpanExporter(store_path(tmp_path / "file"), MIB)
    with pytest.raises(OSError, match="file"):
        exporter.export(builder().request(finished_ledger()))
    (tmp_path / "file").unlink()
    exporter.export(builder().request(finished_ledger()))
    exporter.shutdown()


def test_file_that_is_not_a_store_is_reported_and_left_unchanged(path, finished_ledger) -> None:
    path.parent.mkdir()
    path.write_text("my own notes, " * 1000)
    exporter = StoreSpanExporter(path, MIB)
    with pytest.raises(sqlite3.DatabaseError):
        exporter.export(builder().request(finished_ledger()))
    with pytest.raises(InputError, match="cannot be read"):
        StoreReader(path).slowest(1)
    assert path.read_text().startswith("my own notes")


def test_blocking_reader_fails_an_export_but_not_later_ones(path, exporter, finished_ledger) -> None:
    exporter.export(builder().request(finished_ledger(1)))
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM spans").fetchone()
    many = [span for index in range(10_000) for span in builder().request(finished_ledger(index + 1))]
    with pytest.raises(sqlite3.OperationalError, match="in use"):
        exporter.export(many)
    assert bytes_on_disk(path) <= MIB
    reader.execute("ROLLBACK")
    reader.close()
    exporter.export(builder().request(finished_ledger(10**9)))
    assert StoreReader(path).slowest(9, since_ns=10**9)
