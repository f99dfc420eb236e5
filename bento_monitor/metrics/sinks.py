"""Metrics sinks, from the service's configuration and the standard `OTEL_*` variables."""

from __future__ import annotations

from collections.abc import Callable

from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, MetricExporter
from opentelemetry.sdk.resources import Resource

from ..telemetry_environment import OtlpOptions, read_telemetry_environment, unset
from ..tracing.export.grpc_forks import fork_handlers_off
from .otlp_metrics import OtlpMetrics
from .prometheus_series import PrometheusSeries
from .request_metrics import MetricsSink


def make_sinks(service: str, resource: Callable[[], Resource], *, has_endpoint: bool) -> list[MetricsSink]:
    """Make the sinks of one worker.

    Args:
        service: name of the service.
        resource: returns the resource of this process, after the service has started.
        has_endpoint: whether BentoML exposes `/metrics` for the service; this is the meaning of the exporter name
            `prometheus`.
    """
    environment = read_telemetry_environment()
    sinks: list[MetricsSink] = [PrometheusSeries(service)] if has_endpoint else []
    makers: dict[str, Callable[[], MetricExporter]] = {
        "otlp": lambda: _otlp_exporter(environment.metrics),
        "console": ConsoleMetricExporter,
    }
    named = () if environment.disabled else environment.metrics_exporters
    interval_s, are_deltas = environment.metrics_interval_s, environment.are_metrics_deltas
    pushing = [
        OtlpMetrics(makers[name], resource, interval_s, are_deltas=are_deltas) for name in named if name in makers
    ]
    return [*sinks, *pushing]


def _otlp_exporter(options: OtlpOptions) -> MetricExporter:
    # The SDK itself reads the variables for endpoint, headers, TLS, compression and timeout.
    with unset(options.ignored):
        if options.protocol == "grpc":
            with fork_handlers_off():
                from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcExporter

                return GrpcExporter()
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpExporter

        return HttpExporter()
