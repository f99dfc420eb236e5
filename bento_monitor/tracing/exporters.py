"""Where spans go: what the standard `OTEL_*` variables say, or else the embedded store."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from opentelemetry.sdk.resources import PROCESS_PID, SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.sampling import Sampler

from ..errors import InputError
from ..settings import MonitorSettings, OtlpProtocol, TelemetryEnvironment, read_telemetry_environment
from .finished_span import FinishedSpan, FinishedSpanExporter
from .grpc_forks import fork_handlers_off
from .sdk_spans import ConsoleExporter
from .store import StoreSpanExporter
from .store_file import store_path


def make_exporters(
    settings: MonitorSettings, environment: TelemetryEnvironment | None = None, *, is_forked: bool = False
) -> list[FinishedSpanExporter]:
    """The exporters that the environment names; the embedded store where it names none; none if it is switched off.

    Args:
        settings: where the store is, and how large.
        environment: the variables; None reads them.
        is_forked: this process was forked from one with exporters, whatever thread it was in.

    Raises:
        InputError: an exporter of `OTEL_TRACES_EXPORTER` is not known.
    """
    environment = environment or read_telemetry_environment()
    if environment.disabled or "none" in environment.exporters:
        return []
    named = environment.exporters or (("otlp",) if environment.otlp_configured else ())
    if not named:
        return [StoreSpanExporter(store_path(settings.home), settings.trace_store_max_bytes)]
    makers: dict[str, Callable[[], FinishedSpanExporter]] = {
        "otlp": lambda: _otlp_exporter(environment.otlp_protocol, is_forked=is_forked),
        "console": ConsoleExporter,
    }
    for name in named:
        if name not in makers:
            raise InputError(f"OTEL_TRACES_EXPORTER={name!r} is not supported: use otlp, console or none.")
    return [makers[name]() for name in dict.fromkeys(named)]


class NoGrpcAfterFork:
    """Loses every span: gRPC ends a process that was forked amid a call and uses it, by SIGABRT, one time in five."""

    def export(self, spans: Sequence[FinishedSpan]) -> SpanExportResult:
        """Lose them.

        Raises:
            RuntimeError: always; the message says what to set instead.
        """
        raise RuntimeError("a forked process cannot use gRPC: set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf")

    def shutdown(self) -> None:
        """Nothing is held."""


def _otlp_exporter(protocol: OtlpProtocol, *, is_forked: bool) -> FinishedSpanExporter:
    # Endpoint, headers, TLS, compression and timeout: the SDK reads their variables itself.
    if protocol == "grpc" and is_forked:
        return NoGrpcAfterFork()
    if protocol == "grpc":
        with fork_handlers_off():
            from .otlp_grpc import OtlpGrpcExporter

            return OtlpGrpcExporter()
    from .otlp_http import OtlpHttpExporter

    return OtlpHttpExporter()


def make_resource(service: str) -> Resource:
    """What describes this process: the SDK's resource, the user's `OTEL_RESOURCE_ATTRIBUTES`, and the process id.

    `service.name` is `service` unless the user named it; `service.instance.id` is random, one a process.
    """
    resource = Resource.create({PROCESS_PID: os.getpid()})
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: service}))
    return resource


def make_sampler() -> Sampler:
    """The sampler that `OTEL_TRACES_SAMPLER` names, as the SDK resolves it; by default all, or the caller's choice."""
    return TracerProvider(shutdown_on_exit=False, resource=Resource.get_empty()).sampler
