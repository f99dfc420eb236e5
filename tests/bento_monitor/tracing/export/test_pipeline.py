from __future__ import annotations

import logging
import os
import threading
import time

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from bento_monitor.tracing.export.exporter_state import PipelineStats
from bento_monitor.tracing.export.pipeline import Pipeline

WAIT_S = 20.0


class Raising(SpanExporter):
    def export(self, spans):
        raise ConnectionError("nobody there")

    def shutdown(self) -> None:
        raise ConnectionError("nobody there")


class Failing(SpanExporter):
    def export(self, spans):
        return SpanExportResult.FAILURE


class Hanging(SpanExporter):
    def __init__(self) -> None:
        self.reached, self.release = threading.Event(), threading.Event()

    def export(self, spans):
        self.reached.set()
        self.release.wait(WAIT_S)
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self.release.wait(WAIT_S)


@pytest.fixture
def made():
    pipelines: list[Pipeline] = []

    def make(*exporters: SpanExporter, queue_size: int = 1000) -> Pipeline:
        resource = Resource({"service.name": "demo"})
        pipelines.append(Pipeline(lambda: exporters, lambda: resource, queue_size))
        return pipelines[-1]

    yield make
    for pipeline in pipelines:
        pipeline.shutdown(0.1)


def assert_identity(stats: PipelineStats) -> None:
    assert stats.submitted == stats.built + stats.dropped + stats.waiting
    for exporter in stats.exporters:
        assert exporter.built == exporter.exported + exporter.dropped + exporter.queued
        assert min(exporter.built, exporter.exported, exporter.dropped, exporter.queued) >= 0


def test_every_sampled_request_and_batch_reaches_every_exporter(made, finished_batch, finished_ledger) -> None:
    exporters = InMemorySpanExporter(), InMemorySpanExporter()
    pipeline = made(*exporters)
    record = finished_batch(40)
    pipeline.submit_batch(record)
    for member in record.members:
        pipeline.submit(member)
    pipeline.submit(finished_ledger(sampled=False))
    pipeline.submit_batch(finished_batch(2, sampled=lambda index: False))
    assert pipeline.flush(WAIT_S)
    stats = pipeline.stats()
    assert (stats.submitted, stats.built, stats.dropped, stats.waiting) == (41, 41, 0, 0)
    for exporter, state in zip(exporters, stats.exporters, strict=True):
        spans = exporter.get_finished_spans()
        assert len(spans) == state.exported == 2 + 40 * 5
        assert len({span.trace_id for span in spans if span.name == "infer"}) == 40
    assert_identity(stats)


def test_pipeline_without_exporters_builds_nothing_and_starts_no_thread(made, finished_ledger) -> None:
    pipeline = made()
    pipeline.submit(finished_ledger())
    assert pipeline.stats() == PipelineStats(0, 0, 0, 0, ())


@pytest.mark.parametrize("exporter", [Raising(), Failing()])
def test_lost_spans_are_counted_and_logged_once(
    made, finished_ledger, exporter: SpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    working = InMemorySpanExporter()
    pipeline = made(exporter, working)
    with caplog.at_level(logging.WARNING, logger="bento_monitor"):
        for _ in range(3):
            pipeline.submit(finished_ledger())
            assert pipeline.flush(WAIT_S)
    lost, kept = pipeline.stats().exporters
    assert (lost.built, lost.dropped, lost.exported) == (15, 15, 0)
    assert (kept.built, kept.exported) == (15, 15)
    assert_identity(pipeline.stats())
    assert [type(exporter).__name__ in message for message in caplog.messages] == [True]


def test_full_queue_drops_counts_and_never_blocks(made, finished_ledger) -> None:
    hanging = Hanging()
    pipeline = made(hanging, queue_size=10)
    pipeline.submit(finished_ledger())
    assert hanging.reached.wait(WAIT_S)
    for _ in range(50):
        pipeline.submit(finished_ledger())
    stats = pipeline.stats()
    assert (stats.submitted, stats.built, stats.dropped, stats.waiting) == (51, 1, 40, 10)
    assert stats.exporters[0].queued == 5
    assert_identity(stats)
    hanging.release.set()
    assert pipeline.flush(WAIT_S)
    assert pipeline.stats().exporters[0].exported == 55


def test_counts_agree_throughout_a_flood(made, finished_ledger) -> None:
    pipeline = made(InMemorySpanExporter(), Failing(), queue_size=200)
    threads = [
        threading.Thread(target=lambda: [pipeline.submit(finished_ledger()) for _ in range(500)]) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert_identity(pipeline.stats())
    for thread in threads:
        thread.join()
    assert pipeline.flush(WAIT_S)
    assert pipeline.stats().submitted == 1500
    assert_identity(pipeline.stats())


def test_shutdown_exports_waiting_records_and_refuses_later_ones(made, finished_ledger) -> None:
    exporter = InMemorySpanExporter()
    pipeline = made(exporter)
    for _ in range(300):
        pipeline.submit(finished_ledger())
    pipeline.shutdown(WAIT_S)
    pipeline.submit(finished_ledger())
    stats = pipeline.stats()
    assert (stats.built, stats.dropped, stats.exporters[0].exported) == (300, 1, 1500)
    assert_identity(stats)


def test_shutdown_gives_up_a_dead_exporter_in_time(made, finished_ledger) -> None:
    hanging = Hanging()
    pipeline = made(hanging)
    pipeline.submit(finished_ledger())
    assert hanging.reached.wait(WAIT_S)
    pipeline.submit(finished_ledger())
    begun_s = time.monotonic()
    pipeline.shutdown(0.2)
    # Far below the exporter's 20 s; this does not measure speed.
    assert time.monotonic() - begun_s < WAIT_S / 2
    stats = pipeline.stats()
    assert (stats.built, stats.dropped, stats.waiting) == (1, 1, 0)
    assert (stats.exporters[0].dropped, stats.exporters[0].queued) == (5, 0)
    hanging.release.set()
    pipeline._thread.join(WAIT_S)
    assert pipeline.stats() == stats


def test_only_a_ledger_that_cannot_be_built_is_dropped(made, finished_ledger) -> None:
    exporter = InMemorySpanExporter()
    pipeline = made(exporter)
    broken = finished_ledger()
    broken.received_ns = None
    pipeline.submit(broken)
    pipeline.submit(finished_ledger())
    assert pipeline.flush(WAIT_S)
    stats = pipeline.stats()
    assert (stats.submitted, stats.built, stats.dropped, stats.exporters[0].exported) == (2, 1, 1, 5)


def test_export_is_not_traced_itself(made, finished_ledger) -> None:
    from opentelemetry.instrumentation.utils import is_instrumentation_enabled

    seen: list[bool] = []

    class Watching(InMemorySpanExporter):
        def export(self, spans):
            seen.append(is_instrumentation_enabled())
            return super().export(spans)

    pipeline = made(Watching())
    pipeline.submit(finished_ledger())
    assert pipeline.flush(WAIT_S)
    assert seen == [False]
    assert is_instrumentation_enabled()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forked_child_starts_with_an_empty_queue_and_its_own_exporters(
    finished_ledger,
) -> None:
    parent = os.getpid()
    hanging, exporter = Hanging(), InMemorySpanExporter()
    pipeline = Pipeline(
        lambda: [hanging if os.getpid() == parent else exporter], lambda: Resource({"process.pid": os.getpid()}), 1000
    )
    pipeline.submit(finished_ledger())
    assert hanging.reached.wait(WAIT_S)
    pipeline.submit(finished_ledger())
    child = os.fork()
    if child == 0:
        code = 1
        try:
            is_empty = pipeline.stats().submitted == 0
            pipeline.submit(finished_ledger())
            is_exported = pipeline.flush(WAIT_S) and len(exporter.get_finished_spans()) == 5
            is_its_own = all(s.resource.attributes["process.pid"] == os.getpid() for s in exporter.get_finished_spans())
            assert_identity(pipeline.stats())
            code = 0 if is_empty and is_exported and is_its_own else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    hanging.release.set()
    assert pipeline.flush(WAIT_S)
    assert pipeline.stats().exporters[0].exported == 10
    pipeline.shutdown(WAIT_S)


def test_failing_exporter_is_not_retried_at_once(made, finished_ledger) -> None:
    done: list[str | float] = []

    class Refusing(Failing):
        def export(self, spans):
            done.append("asked")
            return super().export(spans)

    pipeline = made(Refusing())
    pipeline._hold_off.wait = done.append
    for _ in range(130):
        pipeline.submit(finished_ledger())
    assert pipeline.flush(WAIT_S)
    asked, held_off_s, asked_again, *_ = done
    assert (asked, asked_again) == ("asked", "asked")
    assert 0 < held_off_s <= 1  # minus the time to build the first one


def test_every_request_is_always_waiting_or_queued(made, finished_ledger) -> None:
    hanging = Hanging()
    pipeline = made(hanging)
    for _ in range(128):
        pipeline.submit(finished_ledger())
    while not hanging.reached.is_set():
        stats = pipeline.stats()
        assert stats.waiting * 5 + stats.exporters[0].built == 640
    hanging.release.set()
