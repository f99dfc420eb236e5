from __future__ import annotations

import io
import json
import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from opentelemetry.sdk.resources import Resource
from rich.console import Console

from bento_monitor.cli import main
from bento_monitor.cli.traces import print_summaries, print_waterfall
from bento_monitor.tracing.export.span_builder import SpanBuilder
from bento_monitor.tracing.ledger.ledger import BatchRecord, Ledger, ModelCall
from bento_monitor.tracing.store.database import store_path
from bento_monitor.tracing.store.reader import StoreReader
from bento_monitor.tracing.store.writer import StoreSpanExporter

MS = 1_000_000
BUILDER = SpanBuilder(Resource({"service.name": "demo"}), lambda monotonic_ns: monotonic_ns + 10**18)


def batch_of(size: int) -> tuple[BatchRecord, list[Ledger]]:
    members = []
    for index in range(size):
        ledger = Ledger(trace_id=(index + 1) << 96, parent_span_id=0, sampled=True, received_ns=MS)
        ledger.method, ledger.route, ledger.api, ledger.status = "POST", "/encode", "encode", 200
        ledger.entered_ns = ledger.read_ns = MS
        ledger.parsed_ns, ledger.queued_ns, ledger.started_ns, ledger.ended_ns = 3 * MS, 3 * MS, 11 * MS, 19 * MS
        ledger.serialize_started_ns, ledger.serialized_ns, ledger.sent_ns = 19 * MS, 20 * MS, (21 + index) * MS
        members.append(ledger)
    record = BatchRecord("encode", members, size, 11 * MS)
    record.ended_ns = 19 * MS
    record.note_model_call(ModelCall(12 * MS, 18 * MS, "encoder", "onnxruntime", "int8", "fast-1", size))
    for position, ledger in enumerate(members):
        ledger.join(record, position, 1)
        record.leave(ledger)
    return record, members


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENTO_MONITOR_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def filled(home: Path) -> Path:
    record, members = batch_of(24)
    exporter = StoreSpanExporter(store_path(home), 2**20)
    exporter.export([*BUILDER.batch(record), *(span for member in members for span in BUILDER.request(member))])
    exporter.shutdown()
    return home


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["traces", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit | click.exceptions.Exit)
    return result.exit_code, result.output


def test_waterfall_places_each_stage_and_shows_the_batch_below_its_request(filled: Path) -> None:
    console = Console(record=True, width=160, file=io.StringIO())
    print_waterfall(console, StoreReader(store_path(filled)).trace("00000004"))
    title, *lines = console.export_text().splitlines()
    assert title.startswith("trace 00000004000000000000000000000000  demo")
    names = [re.split("[█▒]", line)[0].rstrip() for line in lines]
    assert names == [
        "POST /encode",
        "  parse",
        "  queue",
        "  infer",
        "    batch (linked)",
        "      model",
        "  serialize",
    ]
    bars = [(line.find(mark), line.count(mark)) for line in lines for mark in "█▒" if mark in line]
    whole_at, whole_chars = bars[0]
    assert whole_chars == 60
    expected = [(0, 23), (0, 2), (2, 8), (10, 8), (10, 8), (11, 6), (18, 1)]
    for (begin, chars), (begin_ms, duration_ms) in zip(bars, expected, strict=True):
        assert abs((begin - whole_at) - begin_ms * 60 / 23) <= 1
        assert abs(chars - duration_ms * 60 / 23) <= 1
    assert "23.00 ms" in lines[0]
    assert "status 200, unaccounted 4.00 ms" in lines[0]
    assert "batch of 24, position 3" in lines[3]
    assert "24 requests, 24 traced" in lines[4]
    assert "▒" in lines[4]
    assert "encoder on onnxruntime int8, release fast-1, 24 rows" in lines[5]


def test_list_has_the_slowest_trace_first_and_unique_ids(filled: Path) -> None:
    console = Console(record=True, width=160, file=io.StringIO())
    print_summaries(console, StoreReader(store_path(filled)).slowest(3))
    rows = console.export_text().splitlines()[1:4]
    assert [row.split()[0] for row in rows] == ["00000018", "00000017", "00000016"]
    assert rows[0].split()[3:] == ["demo", "POST", "/encode", "200", "43.0", "queue", "8.0", "ms"]


def test_command_lists_filters_and_limits(filled: Path) -> None:
    code, output = run("--json", "--limit", "2", "--slower-than", "42.5")
    assert (code, [item["duration_ns"] for item in json.loads(output)]) == (0, [43 * MS])
    assert len(json.loads(run("--json", "--limit", "2")[1])) == 2
    assert json.loads(run("--json", "--service", "other")[1]) == []
    assert "fewer conditions" in run("--service", "other")[1]
    assert "00000018" in run()[1]
    assert "fewer conditions" in run("--since", "1")[1]


def test_json_output_of_a_trace_includes_its_batch(filled: Path) -> None:
    code, output = run("00000004", "--json")
    found = json.loads(output)
    assert code == 0
    assert [span["name"] for span in found["spans"]] == ["POST /encode", "parse", "queue", "infer", "serialize"]
    assert [span["name"] for span in found["linked"]] == ["batch", "model"]


def test_unknown_trace_gives_one_sentence_and_exit_code_2(filled: Path) -> None:
    code, output = run("ffff")
    assert (code, output.count("\n")) == (2, 1)
    assert output.startswith("Error: No trace begins with ffff")


def test_empty_store_says_how_to_get_traces(home: Path) -> None:
    code, output = run()
    assert code == 0
    assert "bento-monitor serve" in output
    assert json.loads(run("--json")[1]) == []
    assert run("abc")[0] == 2
    assert not home.exists()
