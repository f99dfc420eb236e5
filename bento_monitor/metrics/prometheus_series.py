"""The monitor's metrics on BentoML's `/metrics`, summed over the workers of a service."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import conventions as names
from .exposition import observe_many
from .request_metrics import Exemplar, Levels
from .series_cap import CappedSeries

_SECONDS = tuple(2.0**exponent for exponent in range(-17, 8))  # 8 us to 128 s
_SIZES = tuple(2.0**exponent for exponent in range(11))  # 1 to 1024
_HISTOGRAMS = {
    names.METRIC_REQUEST_DURATION: (
        ("route", "status"),
        _SECONDS,
        "Time from the first byte read to the last byte written",
    ),
    names.METRIC_STAGE_DURATION: (("route", "stage"), _SECONDS, "Time of one stage of a request"),
    names.METRIC_LOOP_LAG: ((), _SECONDS, "How long the event loop was busy before it read a request"),
    names.METRIC_BATCH_SIZE: (("api",), _SIZES, "Requests in a batch"),
    names.METRIC_MODEL_GPU: (("runner",), _SECONDS, "GPU time of a model call"),
}
_LEVELS = {
    names.METRIC_IN_FLIGHT: ("Gauge", (), "Requests in progress"),
    names.METRIC_QUEUE_DEPTH: ("Gauge", ("api",), "Rows waiting for a batch"),
    names.METRIC_RATE_LIMITED: ("Counter", (), "Requests left untraced by the trace rate limit"),
    names.METRIC_RECORDS_DROPPED: ("Counter", (), "Requests and batches dropped before their spans were built"),
    names.METRIC_SPANS: ("Counter", ("exporter", "state"), "Spans by exporter and state"),
    names.METRIC_THREAD_CPU: ("Counter", ("thread",), "CPU time of the monitor's own threads"),
    names.METRIC_RELEASE_INFO: ("Gauge", ("runner", "release", "phase"), "Workers that serve a release in a runner"),
    names.METRIC_RELEASE_FALLBACK: (
        "Counter",
        ("runner", "release", "reason"),
        "Calls that the service's own model ran instead of the active release",
    ),
    names.METRIC_RELEASE_SWAPS: ("Counter", ("outcome", "reason"), "Swaps of releases by outcome and reason"),
    names.METRIC_HOOK_ENABLED: ("Gauge", ("hook",), "Workers that use this hook into BentoML"),
    names.METRIC_BREAKER_STATE: (
        "Gauge",
        ("part", "state"),
        "Workers in which the circuit breaker of this part is in this state",
    ),
    names.METRIC_BREAKER_OPENS: (
        "Counter",
        ("part",),
        "Times that a circuit breaker switched off a part of the monitor",
    ),
    names.METRIC_BREAKER_RETRIES: ("Counter", ("part",), "Times that a switched-off part was retried"),
}
_SERVICE = "service_name"
# By Prometheus's convention the unit is part of the name.
_UNIT = {metric: "_seconds" for metric in (*_HISTOGRAMS, names.METRIC_THREAD_CPU) if metric != names.METRIC_BATCH_SIZE}


class PrometheusSeries:
    """Writes metrics into `prometheus_client`'s registry, which BentoML's `/metrics` exposes."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._histograms: dict[str, CappedSeries[Any]] = {}
        self._shown: dict[tuple[str, tuple[str, ...]], float] = {}

    def start(self) -> None:
        """Create the histograms. BentoML must have set the multiprocess directory before."""
        for metric in _HISTOGRAMS:
            histogram = _histogram(metric)
            self._histograms[metric] = CappedSeries(
                lambda labels, histogram=histogram: histogram.labels(self._service, *labels)  # type: ignore[misc]
            )

    def observe(
        self, metric: str, labels: tuple[str, ...], values: NDArray[np.float64], exemplar: Exemplar | None
    ) -> None:
        """Add values to a histogram; exemplars are ignored."""
        observe_many(self._histograms[metric].of(labels), values)

    def show(self, levels: Levels, thread_cpu_s: dict[str, float]) -> None:
        """Update gauges and counters."""
        self._set(names.METRIC_IN_FLIGHT, (), levels.in_flight)
        for api, depth in levels.queue_depth.items():
            self._set(names.METRIC_QUEUE_DEPTH, (api,), depth)
        self._set(names.METRIC_RATE_LIMITED, (), levels.rate_limited)
        self._set(names.METRIC_RECORDS_DROPPED, (), levels.records_dropped)
        for labels, total in levels.spans.items():
            self._set(names.METRIC_SPANS, labels, total)
        for thread, total_s in thread_cpu_s.items():
            self._set(names.METRIC_THREAD_CPU, (thread,), total_s)
        self._show_present(names.METRIC_RELEASE_INFO, levels.releases)
        for fallback, total in levels.fallbacks.items():
            self._set(names.METRIC_RELEASE_FALLBACK, fallback, total)
        for swap, total in levels.swaps.items():
            self._set(names.METRIC_RELEASE_SWAPS, swap, total)
        self._show_present(
            names.METRIC_BREAKER_STATE,
            {(part, breaker.state.name.lower()): 1 for part, breaker in levels.breakers.items()},
        )
        for hook, is_used in levels.hooks.items():
            self._set(names.METRIC_HOOK_ENABLED, (hook,), int(is_used))
        for part, breaker in levels.breakers.items():
            self._set(names.METRIC_BREAKER_OPENS, (part,), breaker.opens)
            self._set(names.METRIC_BREAKER_RETRIES, (part,), breaker.retries)

    def _show_present(self, metric: str, values: Mapping[tuple[str, ...], float]) -> None:
        """Set a gauge for each label set, and 0 for label sets that have disappeared."""
        before = {labels for shown, labels in self._shown if shown == metric}
        for labels in before | values.keys():
            self._set(metric, labels, values.get(labels, 0))

    def stop(self) -> None:
        """Do nothing: there is nothing to flush."""

    def _set(self, metric: str, labels: tuple[str, ...], value: float) -> None:
        before = self._shown.get((metric, labels))
        if value == before:
            return
        self._shown[metric, labels] = value
        series = _level(metric).labels(self._service, *labels)
        if _LEVELS[metric][0] == "Gauge":
            series.set(value)
        else:
            series.inc(max(value - (before or 0), 0))


def _name(metric: str) -> str:
    return metric.replace(".", "_") + _UNIT.get(metric, "")


@cache
def _histogram(metric: str) -> Any:
    """Return the process-wide histogram of a metric; services in one process share it."""
    from prometheus_client import Histogram

    label_names, buckets, text = _HISTOGRAMS[metric]
    return Histogram(_name(metric), text, (_SERVICE, *label_names), buckets=buckets)


@cache
def _level(metric: str) -> Any:
    import prometheus_client

    kind, label_names, text = _LEVELS[metric]
    if kind == "Gauge":
        return prometheus_client.Gauge(_name(metric), text, (_SERVICE, *label_names), multiprocess_mode="livesum")
    return prometheus_client.Counter(_name(metric), text, (_SERVICE, *label_names))
