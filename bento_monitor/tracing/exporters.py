"""Where spans go: what the standard `OTEL_*` variables say, or else the embedded store."""

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
from ..telemetry_environment import OtlpOptions, TelemetryEnvironment, drop_unusable, read_telemetry_environment, unset
from .export.finished_span import FinishedSpan, FinishedSpanExporter
from .export.grpc_forks import fork_handlers_off
from .export.sdk_spans import ConsoleExporter
from .store.database import store_path
from .store.writer import StoreSpanExporter

_LOGGER = logging.getLogger("bento_monitor")


def make_exporters(
    settings: MonitorSettings, environment: TelemetryEnvironment | None = None, *, is_forked: bool = False
) -> list[FinishedSpanExporter]:
    """The exporters that the environment names; the embedded store where it names none; none if it is switched off.

    Args:
        settings: where the store is, and how large.
        environment: the variables; None reads them.
        is_forked: this process was forked from one with exporters, whatever thread it was in.
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
    return [_made(makers[name]) for name in named]


def _made(make: Callable[[], FinishedSpanExporter]) -> FinishedSpanExporter:
    """An exporter; where it cannot be made, as without its certificate, one that loses spans, and says so."""
    try:
        return make()
    except Exception as error:
        return LosingExporter(f"it cannot be made: {type(error).__name__}: {error}")


class LosingExporter:
    """Loses every span, which is counted and said: nothing about telemetry keeps a service from being served."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def export(self, spans: Sequence[FinishedSpan]) -> SpanExportResult:
        """Lose them.

        Raises:
            RuntimeError: always; the message says why.
        """
        raise RuntimeError(self._reason)

    def shutdown(self) -> None:
        """Nothing is held."""


def _otlp_exporter(options: OtlpOptions, *, is_forked: bool) -> FinishedSpanExporter:
    # Endpoint, headers, TLS, compression and timeout: the SDK reads their variables itself.
    if options.protocol == "grpc" and is_forked:
        # gRPC ends a process that was forked amid a call and uses it, by SIGABRT, one time in five.
        return LosingExporter("a forked process cannot use gRPC: set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf")
    with unset(options.ignored):
        if options.protocol == "grpc":
            with fork_handlers_off():
                from .export.otlp_grpc import OtlpGrpcExporter

                return OtlpGrpcExporter()
        from .export.otlp_http import OtlpHttpExporter

        return OtlpHttpExporter()


def make_resource(service: str) -> Resource:
    """What describes this process: the SDK's resource, the user's `OTEL_RESOURCE_ATTRIBUTES`, and the process id.

    `service.name` is `service` unless the user named it; `service.instance.id` is random, one a process.
    """
    own = {PROCESS_PID: os.getpid()}
    try:
        resource = Resource.create(own)
    except Exception as error:  # of a detector that the environment names
        _LOGGER.warning("The process is described by its id alone: %s", error)
        resource = Resource({**own, SERVICE_NAME: service})
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: service}))
    if SERVICE_INSTANCE_ID not in resource.attributes:  # by an SDK of its earlier versions
        resource = resource.merge(Resource({SERVICE_INSTANCE_ID: str(uuid4())}))
    return resource


def make_sampler() -> Sampler:
    """The sampler that `OTEL_TRACES_SAMPLER` names, as the SDK resolves it; by default all, or the caller's choice."""
    try:
        return TracerProvider(shutdown_on_exit=False, resource=Resource.get_empty(), span_limits=span_limits()).sampler
    except Exception as error:  # of a sampler that the environment names
        _LOGGER.warning("OTEL_TRACES_SAMPLER cannot be used and is ignored: %s", error)
        return DEFAULT_ON


def span_limits() -> SpanLimits:
    """The limits of spans that OpenTelemetry's variables set."""
    drop_unusable()
    return SpanLimits()
