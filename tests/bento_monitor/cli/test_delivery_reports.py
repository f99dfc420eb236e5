from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from bento_monitor.cli import main
from bento_monitor.resilience.liveness import process_identity
from bento_monitor.tracing.export.delivery_report import DeliveryReport, write_delivery_report
from bento_monitor.tracing.export.exporter_state import ExporterStats, PipelineStats

NOTHING_MISSING = PipelineStats(12, 9, 0, 3, (ExporterStats("OTLPSpanExporter", 45, 35, 0, 10),))
DROPPED = PipelineStats(12, 9, 0, 3, (ExporterStats("OTLPSpanExporter", 45, 30, 5, 10),))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENTO_MONITOR_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "160")
    return tmp_path


def write(home: Path, stats: PipelineStats, *, is_alive: bool = True, service: str = "demo") -> None:
    identity = process_identity(os.getpid()) if is_alive else "gone"
    write_delivery_report(home, DeliveryReport(service, os.getpid(), identity, 1.0, 5.0, False, stats))


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["traces", "--delivery-report", *arguments])
    return result.exit_code, result.output


def test_each_process_has_a_line_and_exit_code_0_means_nothing_missing(home: Path) -> None:
    write(home, NOTHING_MISSING)
    code, output = run()
    assert code == 0
    names, line, _ = output.splitlines()
    assert " ".join(names.split()) == (
        "process service state waiting refused exporter built exported dropped queued last written"
    )
    written = f"{datetime.fromtimestamp(5.0).astimezone():%Y-%m-%d %H:%M:%S}"
    assert " ".join(line.split()) == f"{os.getpid()} demo running 3 0 OTLPSpanExporter 45 35 0 10 {written}"


def test_missing_spans_give_exit_code_1(home: Path) -> None:
    write(home, DROPPED)
    assert run()[0] == 1
    assert run("--service", "another")[0] == 0


def test_killed_process_is_shown_as_lost(home: Path) -> None:
    write(home, NOTHING_MISSING, is_alive=False)
    code, output = run()
    assert code == 1
    assert output.splitlines()[1].split()[2] == "lost"
    assert output.splitlines()[-1].startswith("A lost process also lost")
    code, output = run("--json")
    (found,) = json.loads(output)
    assert (code, found["state"]) == (1, "lost")
    assert found["report"]["stats"]["exporters"][0]["exported"] == 35


def test_missing_reports_are_announced(home: Path) -> None:
    code, output = run()
    assert code == 0
    assert str(home) in output
    assert json.loads(run("--json")[1]) == []


@pytest.mark.parametrize("others", [("abcd",), ("--jaeger", "http://127.0.0.1:1")])
def test_delivery_report_refuses_trace_id_and_jaeger(home: Path, others: tuple[str, ...]) -> None:
    code, output = run(*others)
    assert (code, output.count("\n")) == (2, 1)
