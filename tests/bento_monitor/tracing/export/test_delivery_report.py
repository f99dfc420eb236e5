from __future__ import annotations

import json
import logging
import os
import resource
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from bento_monitor.resilience.liveness import process_identity
from bento_monitor.tracing.export.delivery_report import (
    DeliveryReport,
    DeliveryReportWriter,
    read_delivery_reports,
    remove_old_delivery_reports,
    write_delivery_report,
)
from bento_monitor.tracing.export.exporter_state import ExporterStats, PipelineStats
from bento_monitor.tracing.export.pipeline import Pipeline

WAIT_S = 20.0
STATS = PipelineStats(12, 9, 1, 2, (ExporterStats("OTLPSpanExporter", 45, 30, 5, 10),))


def report(
    pid: int = 1, *, identity: str = "gone", started_at_s: float = 1000.0, is_stopped: bool = False
) -> DeliveryReport:
    return DeliveryReport("demo", pid, identity, started_at_s, time.time(), is_stopped, stats=STATS)


@pytest.fixture
def ended_pid() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def wait_for(home: Path, submitted: int) -> DeliveryReport:
    deadline_s = time.monotonic() + WAIT_S
    while time.monotonic() < deadline_s:
        for found in read_delivery_reports(home):
            if found.report.stats.submitted == submitted:
                return found.report
        time.sleep(0.01)
    raise TimeoutError(f"{read_delivery_reports(home)} has not come to {submitted}.")


def test_report_is_read_back_and_adds_up(tmp_path: Path) -> None:
    mine = report(os.getpid(), identity=process_identity(os.getpid()), started_at_s=1e6)
    write_delivery_report(tmp_path, mine)
    (found,) = read_delivery_reports(tmp_path)
    assert (found.report, found.state) == (mine, "running")
    assert found.report.is_exact
    assert not replace(mine, stats=replace(STATS, waiting=3)).is_exact
    assert not replace(mine, stats=replace(STATS, exporters=(ExporterStats("x", 4, 1, 1, 1),))).is_exact
    assert read_delivery_reports(tmp_path, "another") == []
    assert read_delivery_reports(tmp_path / "nowhere") == []


def test_process_that_died_unnoticed_is_lost(tmp_path: Path, ended_pid: int) -> None:
    write_delivery_report(tmp_path, report(ended_pid))
    (found,) = read_delivery_reports(tmp_path)
    assert found.state == "lost"
    write_delivery_report(tmp_path, report(ended_pid, is_stopped=True))
    (found,) = read_delivery_reports(tmp_path)
    assert found.state == "stopped"


def test_reused_process_id_is_not_mistaken_for_the_dead_process(tmp_path: Path) -> None:
    write_delivery_report(tmp_path, report(os.getpid()))
    assert read_delivery_reports(tmp_path)[0].state == "lost"


def test_truncated_or_foreign_file_is_skipped(tmp_path: Path, ended_pid: int) -> None:
    write_delivery_report(tmp_path, report(ended_pid))
    (whole,) = (tmp_path / "delivery_reports").iterdir()
    for name, text in (("torn", whole.read_text()[:-20]), ("list", "[]"), ("other", json.dumps({"pid": 3}))):
        (tmp_path / "delivery_reports" / f"{name}.json").write_text(text)
    assert [found.report.pid for found in read_delivery_reports(tmp_path)] == [ended_pid]


def test_reports_of_the_latest_ended_processes_are_kept(tmp_path: Path) -> None:
    now_s = time.time()
    for age in range(40):
        write_delivery_report(
            tmp_path, replace(report(identity=str(age), started_at_s=age + 1.0), written_at_s=now_s - age)
        )
    write_delivery_report(
        tmp_path, replace(report(identity="old", started_at_s=100.0), written_at_s=now_s - 30 * 86400)
    )
    mine = report(os.getpid(), identity=process_identity(os.getpid()), started_at_s=1e6)
    write_delivery_report(tmp_path, replace(mine, written_at_s=1.0))
    left_over = tmp_path / "delivery_reports" / ".demo-1-1.json.aa.tmp"
    left_over.touch()
    os.utime(left_over, (1.0, 1.0))
    remove_old_delivery_reports(tmp_path)
    kept = read_delivery_reports(tmp_path)
    assert sorted(found.report.started_at_s for found in kept[1:]) == [age + 1.0 for age in range(32)]
    assert kept[0].report.pid == os.getpid()
    assert not left_over.exists()


@pytest.fixture
def written(tmp_path: Path):
    pipelines: list[Pipeline] = []

    def make(home: Path = tmp_path) -> Pipeline:
        made = Pipeline(
            lambda: [InMemorySpanExporter()], lambda: Resource({}), 1000, DeliveryReportWriter(home, "demo")
        )
        pipelines.append(made)
        return made

    yield make
    for pipeline in pipelines:
        pipeline.shutdown(WAIT_S)


def test_pipeline_report_can_be_read_during_and_after_its_run(written, finished_ledger, tmp_path: Path) -> None:
    pipeline = written()
    assert read_delivery_reports(tmp_path) == []
    for _ in range(3):
        pipeline.submit(finished_ledger())
    assert pipeline.flush(WAIT_S)
    running = wait_for(tmp_path, 3)
    assert (running.pid, running.is_stopped, running.is_exact) == (os.getpid(), False, True)
    pipeline.submit(finished_ledger())
    pipeline.shutdown(WAIT_S)
    (found,) = read_delivery_reports(tmp_path)
    assert found.state == "stopped"
    assert found.report.stats == pipeline.stats()
    assert found.report.stats.exporters[0].exported == 20


def test_unchanged_report_is_not_rewritten(written, finished_ledger, tmp_path: Path) -> None:
    pipeline = written()
    pipeline.submit(finished_ledger())
    assert pipeline.flush(WAIT_S)
    deadline_s = time.monotonic() + WAIT_S
    while wait_for(tmp_path, 1).stats != pipeline.stats() and time.monotonic() < deadline_s:
        time.sleep(0.01)
    written_at_s = wait_for(tmp_path, 1).written_at_s
    time.sleep(1.2)  # longer than two write intervals
    assert wait_for(tmp_path, 1).written_at_s == written_at_s


@pytest.mark.parametrize("kind", ["no folder", "full disk"])
def test_unwritable_disk_is_logged_once_and_harms_nothing(
    written, finished_ledger, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    home = tmp_path / "home"
    if kind == "no folder":
        home.touch()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    pipeline = written(home)
    with caplog.at_level(logging.WARNING, logger="bento_monitor"):
        try:
            if kind == "full disk":
                # A write then fails, as on a disk that is full.
                resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
            for _ in range(3):
                pipeline.submit(finished_ledger())
                assert pipeline.flush(WAIT_S)
                time.sleep(0.6)  # the report is written again
            pipeline.shutdown(WAIT_S)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert pipeline.stats().exporters[0].exported == 15
    assert [message.startswith("The delivery report cannot be written") for message in caplog.messages] == [True]
    assert read_delivery_reports(home) == []
