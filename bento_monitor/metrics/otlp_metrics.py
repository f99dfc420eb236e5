"""The monitor's metrics by OTLP: exponential histograms with exemplars, sent by the SDK's exporter."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from opentelemetry.sdk.metrics import Exemplar as SdkExemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Metric,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.metrics.export import Buckets as SdkBuckets
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from .. import conventions as names
from ..resilience.rate_limited_log import OutageLog
from .log_histogram import SCALE, LogHistogram
from .request_metrics import Exemplar, Levels
from .series_cap import OVERFLOW, CappedSeries

_LOGGER = logging.getLogger("bento_monitor")
_SCOPE = InstrumentationScope(names.SCOPE_NAME, schema_url=names.SCHEMA_URL)
_Attributes = Mapping[str, str | bool]
_LABELS = {
    names.METRIC_REQUEST_DURATION: ("http.route", "http.response.status_code"),
    names.METRIC_STAGE_DURATION: ("http.route", "bento_monitor.stage"),
    names.METRIC_LOOP_LAG: (),
    names.METRIC_BATCH_SIZE: (names.API_NAME,),
    names.METRIC_MODEL_GPU: (names.RUNNER_NAME,),
}
_UNITS = {names.METRIC_BATCH_SIZE: "{request}"}


class _Series:
    """One histogram, and its exemplar since the last export."""

    __slots__ = ("exemplar", "exemplar_ns", "histogram")

    def __init__(self, _: tuple[str, ...]) -> None:
        self.histogram = LogHistogram()
        self.exemplar: Exemplar | None = None
        self.exemplar_ns = 0


class OtlpMetrics:
    """Keeps histograms and exports them from its own thread, so that a hanging collector delays nothing else."""

    def __init__(
        self,
        exporter: Callable[[], MetricExporter],
        resource: Callable[[], Resource],
        interval_s: float,
        *,
        are_deltas: bool = False,
    ) -> None:
        """With `are_deltas`, each export has the changes since the last export; otherwise since the start."""
        self._make_exporter = exporter
        self._exporter: MetricExporter | None = None
        self._find_resource = resource
        self._resource = Resource.get_empty()
        self._interval_s = interval_s
        self._are_deltas = are_deltas
        self._temporality = AggregationTemporality.DELTA if are_deltas else AggregationTemporality.CUMULATIVE
        self._totals: dict[tuple[str, frozenset[tuple[str, str | bool]]], float] = {}  # at the last `read`
        self._lock = threading.Lock()
        self._series = {metric: CappedSeries(_Series) for metric in _LABELS}
        self._levels: tuple[Levels, dict[str, float]] | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._started_ns = 0
        self._outages = OutageLog(_LOGGER, "Metrics could not be exported (%s); the next export is in %g s.")

    def start(self) -> None:
        """Start the thread."""
        self._started_ns = time.time_ns()
        self._resource = self._find_resource()
        try:
            self._exporter = self._make_exporter()
        except Exception as error:  # for example without its certificate: a telemetry failure never stops a service
            _LOGGER.warning("Metrics are not exported: the exporter cannot be created (%s).", error)
            return
        self._thread = threading.Thread(target=self._run, name="bento-monitor-otlp-metrics", daemon=True)
        self._thread.start()

    def observe(
        self, metric: str, labels: tuple[str, ...], values: NDArray[np.float64], exemplar: Exemplar | None
    ) -> None:
        """Add values to a histogram; the exemplar is kept if it is the slowest since the last export."""
        with self._lock:
            series = self._series[metric].of(labels)
            series.histogram.add(values)
            if exemplar is not None and (series.exemplar is None or exemplar.value_s > series.exemplar.value_s):
                series.exemplar, series.exemplar_ns = exemplar, time.time_ns()

    def show(self, levels: Levels, thread_cpu_s: dict[str, float]) -> None:
        """Store the current levels and totals for the next export."""
        self._levels = (levels, thread_cpu_s)

    def stop(self) -> None:
        """Export a last time; wait at most 1 s for it."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=1.0)
        if self._exporter is not None:
            threading.Thread(target=self._exporter.shutdown, name="bento-monitor-close", daemon=True).start()

    def _run(self) -> None:
        from opentelemetry.instrumentation.utils import suppress_instrumentation

        with suppress_instrumentation():
            is_last = False
            while not is_last:
                is_last = self._stop.wait(self._interval_s)
                self._export()

    def _export(self) -> None:
        assert self._exporter is not None
        reason: Any = "the exporter returned FAILURE"
        try:
            if self._exporter.export(self.read(time.time_ns())) is MetricExportResult.SUCCESS:
                self._outages.worked()
                return
        except Exception as error:
            reason = error
        self._outages.failed(reason, self._interval_s)

    def read(self, now_ns: int) -> MetricsData:
        """Return all metrics as the SDK's objects, with the exemplars since the last call."""
        with self._lock:
            metrics = [self._histogram(metric, now_ns) for metric in _LABELS]
        if self._levels is not None:
            metrics += self._level_metrics(*self._levels, now_ns)
        if self._are_deltas:
            self._started_ns = now_ns
        scope = ScopeMetrics(_SCOPE, [metric for metric in metrics if metric.data.data_points], names.SCHEMA_URL)
        return MetricsData([ResourceMetrics(self._resource, [scope], self._resource.schema_url)])

    def _histogram(self, metric: str, now_ns: int) -> Metric:
        points = []
        for labels, series in self._series[metric].items():
            histogram, exemplar = series.histogram, series.exemplar
            if self._are_deltas:
                if not histogram.count:
                    continue
                series.histogram = LogHistogram()
            offset, counts = histogram.dense()
            found = []
            if exemplar is not None:
                ids = {"span_id": exemplar.span_id, "trace_id": exemplar.trace_id}
                found = [SdkExemplar({}, exemplar.value_s, series.exemplar_ns, **ids)]
            series.exemplar = None
            points.append(
                ExponentialHistogramDataPoint(
                    attributes=_attributes(_LABELS[metric], labels),
                    start_time_unix_nano=self._started_ns,
                    time_unix_nano=now_ns,
                    count=histogram.count,
                    sum=histogram.total,
                    scale=SCALE,
                    zero_count=histogram.zeros,
                    positive=SdkBuckets(offset, counts),
                    negative=SdkBuckets(0, []),
                    flags=0,
                    min=histogram.smallest,
                    max=histogram.largest,
                    exemplars=found,
                )
            )
        return Metric(metric, "", _UNITS.get(metric, "s"), ExponentialHistogram(points, self._temporality))

    def _level_metrics(self, levels: Levels, thread_cpu_s: dict[str, float], now_ns: int) -> list[Metric]:
        def points(values: Iterable[tuple[_Attributes, float]]) -> list[NumberDataPoint]:
            return [NumberDataPoint(labels, self._started_ns, now_ns, value) for labels, value in values]

        def gauge(name: str, unit: str, values: Iterable[tuple[_Attributes, float]]) -> Metric:
            return Metric(name, "", unit, Gauge(points(values)))

        def total(name: str, unit: str, values: Iterable[tuple[_Attributes, float]]) -> Metric:
            shown = [(labels, self._since(name, labels, value)) for labels, value in values]
            return Metric(name, "", unit, Sum(points(shown), self._temporality, is_monotonic=True))

        depths = [({names.API_NAME: api}, depth) for api, depth in levels.queue_depth.items()]
        spans = [({"exporter": of, "state": state}, count) for (of, state), count in levels.spans.items()]
        release = (names.RUNNER_NAME, names.RUNNER_RELEASE)
        served = [(_attributes((*release, "phase"), of), count) for of, count in levels.releases.items()]
        fallbacks = [(_attributes((*release, "reason"), of), count) for of, count in levels.fallbacks.items()]
        breakers = levels.breakers.items()
        states: list[tuple[_Attributes, float]] = [
            ({"part": part, "state": of.state.name.lower()}, 1) for part, of in breakers
        ]
        swaps = [(_attributes(("outcome", "reason"), of), count) for of, count in levels.swaps.items()]
        return [
            gauge(names.METRIC_IN_FLIGHT, "{request}", [({}, levels.in_flight)]),
            gauge(names.METRIC_QUEUE_DEPTH, "{row}", depths),
            total(names.METRIC_RATE_LIMITED, "{trace}", [({}, levels.rate_limited)]),
            total(names.METRIC_RECORDS_DROPPED, "{record}", [({}, levels.records_dropped)]),
            total(names.METRIC_SPANS, "{span}", spans),
            gauge(names.METRIC_RELEASE_INFO, "{worker}", served),
            total(names.METRIC_RELEASE_FALLBACK, "{call}", fallbacks),
            total(names.METRIC_RELEASE_SWAPS, "{swap}", swaps),
            gauge(
                names.METRIC_HOOK_ENABLED, "{worker}", [({"hook": hook}, int(on)) for hook, on in levels.hooks.items()]
            ),
            gauge(names.METRIC_BREAKER_STATE, "{worker}", states),
            total(names.METRIC_BREAKER_OPENS, "{open}", [({"part": part}, of.opens) for part, of in breakers]),
            total(names.METRIC_BREAKER_RETRIES, "{retry}", [({"part": part}, of.retries) for part, of in breakers]),
            total(names.METRIC_THREAD_CPU, "s", [({"thread": name}, value) for name, value in thread_cpu_s.items()]),
        ]

    def _since(self, metric: str, labels: _Attributes, value: float) -> float:
        """Return a total, or with deltas its change since the last call of `read`."""
        if not self._are_deltas:
            return value
        key = (metric, frozenset(labels.items()))
        before, self._totals[key] = self._totals.get(key, 0), value
        return value - before


def _attributes(label_names: tuple[str, ...], labels: tuple[str, ...]) -> _Attributes:
    if labels and all(label == OVERFLOW for label in labels):
        return {"otel.metric.overflow": True}
    return dict(zip(label_names, labels, strict=True))
