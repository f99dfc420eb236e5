"""The start and stop of a worker."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from bento_monitor.settings import MonitorSettings
from bento_monitor.worker.monitor import WorkerMonitor


@pytest.mark.parametrize(("host", "warnings"), [("collector.example", 1), ("127.0.0.1", 0)])
def test_plain_text_spans_to_another_host_are_logged_once_at_the_start(
    host: str, warnings: int, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{host}:4318")
    worker = WorkerMonitor("demo", MonitorSettings(home=tmp_path))

    async def start_and_stop() -> None:
        await worker.start()
        await worker.stop()

    with caplog.at_level(logging.WARNING, logger="bento_monitor"):
        asyncio.run(start_and_stop())
    assert sum("in plain text" in record.getMessage() for record in caplog.records) == warnings
