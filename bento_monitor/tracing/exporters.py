"""Span exporters: those that the standard `OTEL_*` variables name, by default the embedded store."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from uuid import uuid4

from opentelemetry.sdk.resources import PROCESS_PID, SERVICE_INSTANCE_ID, SERVICE_NAME, Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.sampling import DEFAULT_ON, Sampler

from ..settings import MonitorSettings
from ..telemetry_environment import (
    OtlpOptions,
    TelemetryEnvironment,
    read_telemetry_environment,
    remove_unusable_variables,
    unset,
)
from .export.finished_span import FinishedSpan, FinishedSpanExporter
from .export.grpc_forks import fork_handlers_off
from .export.sdk_spans import ConsoleExporter
from .store.database import store_path
from .store.writer import StoreSpanExporter

_LOGGER = logging.getLogger("bento_monitor")


def make_exporters(
    settings: MonitorSettings, environment: TelemetryEnvironment | None = None, *, is_forked: bool = False
) -> list[FinishedSpanExporter]:
    """Make the exporters that the environment names.

    By default this is the embedded store. There are no exporters if the environment switches tracing off.

    Args:
        settings: the path and the maximum size of the store.
        environment: the variables; None reads them from the process environment.
        is_forked: whether this process was forked from a process that had exporters.
    """
    environment = environment or read_telemetry_environment()
    if environment.disabled or "none" in environment.exporters:
        return []
    named = environment.exporters or (("otlp",) if environment.otlp_configured else ())
    if not named:
        return [StoreSpanExporter(store_path(settings.home), settings.trace_store_max_bytes)]
    makers: dict[str, Callable[[], FinishedSpanExporter]] = {
        "otlp": lambda: _otlp_exporter(environment.traces, is_forked=is_forked),
        "console": ConsoleExporter,
    }
    return [_make_or_lose(makers[name]) for name in named]


def _make_or_lose(make: Callable[[], FinishedSpanExporter]) -> FinishedSpanExporter:
    """Make an exporter; if that fails, for example without its certificate, return a `LosingExporter`."""
    try:
        return make()
    except Exception as error:
        return LosingExporter(f"the exporter cannot be created: {type(error).__name__}: {error}")


class LosingExporter:
    """Loses every span. The losses are counted and logged: a telemetry failure never stops a service."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def export(self, spans: Sequence[FinishedSpan]) -> SpanExportResult:
        """Lose the spans.

        Raises:
            RuntimeError: always; the message is the reason.
        """
        raise RuntimeError(self._reason)

    def shutdown(self) -> None:
        """Do nothing: this exporter holds no resources."""


def _otlp_exporter(options: OtlpOptions, *, is_forked: bool) -> FinishedSpanExporter:
    # The SDK itself reads the variables for endpoint, headers, TLS, compression and timeout.
    if options.protocol == "grpc" and is_forked:
        # If a process is forked during a gRPC call and the child uses gRPC, one child in five ends by SIGABRT.
        return LosingExporter("a forked process cannot use gRPC: set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf")
    with unset(options.ignored):
        if options.protocol == "grpc":
            with fork_handlers_off():
                from .export.otlp_grpc import OtlpGrpcExporter

                return OtlpGrpcExporter()
        from .export.otlp_http import OtlpHttpExporter

        return OtlpHttpExporter()


def make_resource(service: str) -> Resource:
    """Make the resource of this process: the SDK's attributes, `OTEL_RESOURCE_ATTRIBUTES` and the process id.

    `service.name` is `service` unless the user has set it; `service.instance.id` is random and unique per process.
    """
    own = {PROCESS_PID: os.getpid()}
    try:
        resource = Resource.create(own)
    except Exception as error:  # raised by a resource detector that the environment names
        _LOGGER.warning("Only the process id and service name are exported as resource attributes: %s", error)
        resource = Resource({**own, SERVICE_NAME: service})
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: service}))
    if SERVICE_INSTANCE_ID not in resource.attributes:  # earlier versions of the SDK do not set it
        resource = resource.merge(Resource({SERVICE_INSTANCE_ID: str(uuid4())}))
    return resource


def make_sampler() -> Sampler:
    """Make the sampler that `OTEL_TRACES_SAMPLER` names.

    The default follows the caller's decision, and samples every request without one.
    """
    try:
        return TracerProvider(shutdown_on_exit=False, resource=Resource.get_empty(), span_limits=span_limits()).sampler
    except Exception as error:  # raised by a sampler that the environment names
        _LOGGER.warning("OTEL_TRACES_SAMPLER cannot be used and is ignored: %s", error)
        return DEFAULT_ON


def span_limits() -> SpanLimits:
    """Return the span limits that OpenTelemetry's variables set."""
    remove_unusable_variables()
    return SpanLimits()
