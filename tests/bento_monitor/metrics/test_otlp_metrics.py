"""Metrics by OTLP: totals since the start, or changes since the last export."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from opentelemetry.sdk.metrics.export import AggregationTemporality, ConsoleMetricExporter
from opentelemetry.sdk.resources import Resource

from bento_monitor import conventions as names
from bento_monitor.metrics.otlp_metrics import OtlpMetrics
from bento_monitor.metrics.request_metrics import Levels
from bento_monitor.metrics.sinks import make_sinks
from bento_monitor.telemetry_environment import read_telemetry_environment


def read(metrics: OtlpMetrics, now_ns: int) -> dict[str, Any]:
    (scope,) = metrics.read(now_ns).resource_metrics[0].scope_metrics
    return {metric.name: metric.data for metric in scope.metrics}


def observe(metrics: OtlpMetrics, *values_s: float) -> None:
    metrics.observe(names.METRIC_REQUEST_DURATION, ("/x", "200"), np.array(values_s), None)


@pytest.mark.parametrize("are_deltas", [False, True])
def test_reading_has_totals_or_changes_since_the_last(are_deltas: bool) -> None:
    metrics = OtlpMetrics(lambda: None, Resource.get_empty, 60.0, are_deltas=are_deltas)  # type: ignore[arg-type, return-value]
    counts, sums, starts, spans = [], [], [], []
    for number, (values_s, exported) in enumerate([((0.1, 0.3), 5), ((0.2,), 7), ((), 7)]):
        if values_s:
            observe(metrics, *values_s)
        metrics.show(Levels(1, {}, 0, 0, {("store", "exported"): exported}), {})
        found = read(metrics, 100 * (number + 1))
        histogram = found.get(names.METRIC_REQUEST_DURATION)
        counts.append(histogram.data_points[0].count if histogram is not None else None)
        sums.append(round(histogram.data_points[0].sum, 3) if histogram is not None else None)
        total = found[names.METRIC_SPANS]
        starts.append(total.data_points[0].start_time_unix_nano)
        spans.append(total.data_points[0].value)
        expected = AggregationTemporality.DELTA if are_deltas else AggregationTemporality.CUMULATIVE
        assert total.aggregation_temporality is expected
        assert found[names.METRIC_IN_FLIGHT].data_points[0].value == 1
    if are_deltas:
        assert (counts, sums, spans, starts) == ([2, 1, None], [0.4, 0.2, None], [5, 2, 0], [0, 100, 200])
    else:
        assert (counts, sums, spans, starts) == ([2, 3, 3], [0.4, 0.6, 0.6], [5, 7, 7], [0, 0, 0])


@pytest.mark.parametrize(
    ("preference", "are_deltas"),
    [("", False), ("cumulative", False), ("Delta", True), ("lowmemory", True), ("x", False)],
)
def test_standard_variable_selects_the_temporality(
    preference: str, are_deltas: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "console")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", preference)
    (sink,) = make_sinks("svc", Resource.get_empty, has_endpoint=False)
    assert isinstance(sink, OtlpMetrics)
    assert sink._are_deltas == are_deltas
    assert len(read_telemetry_environment().warnings) == (preference == "x")


def test_console_exporter_takes_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "console")
    (sink,) = make_sinks("svc", Resource.get_empty, has_endpoint=False)
    assert isinstance(sink, OtlpMetrics)
    sink.start()
    assert isinstance(sink._exporter, ConsoleMetricExporter)
    sink._exporter.out = shown = io.StringIO()
    observe(sink, 0.25)
    sink.show(Levels(1, {}, 0, 0, {}), {})
    sink.stop()
    assert '"name": "bento_monitor.request.duration"' in shown.getvalue()
