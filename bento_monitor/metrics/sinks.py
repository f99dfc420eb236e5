"""Where metrics go: what the service's configuration and the standard `OTEL_*` variables say."""

from __future__ import annotations

from collections.abc import Callable

from opentelemetry.sdk.metrics.export import MetricExporter
from opentelemetry.sdk.resources import Resource

from ..settings import OtlpProtocol, read_telemetry_environment
from ..tracing.grpc_forks import fork_handlers_off
from .otlp_metrics import OtlpMetrics
from .prometheus_series import PrometheusSeries
from .request_metrics import MetricsSink


def make_sinks(service: str, resource: Callable[[], Resource], *, has_endpoint: bool) -> list[MetricsSink]:
    """The sinks of one worker.

    Args:
        service: name of the service.
        resource: gives what describes this process, once the service has started.
        has_endpoint: whether BentoML shows `/metrics` for the service.

    Raises:
        InputError: a variable's value cannot be used.
    """
    environment = read_telemetry_environment()
    sinks: list[MetricsSink] = [PrometheusSeries(service)] if has_endpoint else []
    if environment.metrics_otlp and not environment.disabled:
        protocol = environment.metrics_protocol
        sinks.append(OtlpMetrics(lambda: _exporter(protocol), resource, environment.metrics_interval_s))
    return sinks


def _exporter(protocol: OtlpProtocol) -> MetricExporter:
    # Endpoint, headers, TLS, compression and timeout: the SDK reads their variables itself.
    if protocol == "grpc":
        with fork_handlers_off():
            from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcExporter

            return GrpcExporter()
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpExporter

    return HttpExporter()
