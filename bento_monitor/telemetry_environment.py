"""Reading of the standard `OTEL_*` variables.

By OpenTelemetry's rule, an unusable value causes a warning and is ignored, as if the variable were not set.

Source: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from __future__ import annotations

import logging
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Literal

_LOGGER = logging.getLogger("bento_monitor")
OtlpProtocol = Literal["http/protobuf", "grpc"]
Signal = Literal["TRACES", "METRICS"]
_TRACES_EXPORTERS = ("otlp", "console", "none")
_METRICS_EXPORTERS = ("otlp", "console", "prometheus", "none")
_PROTOCOLS: tuple[OtlpProtocol, ...] = ("http/protobuf", "grpc")
_TEMPORALITY = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
_PROPAGATORS = "OTEL_PROPAGATORS"
_LIMIT = re.compile(r"OTEL_(SPAN_|EVENT_|LINK_)?(ATTRIBUTE_|EVENT_|LINK_)?(COUNT|VALUE_LENGTH)_LIMIT")
_DEFAULT_INTERVAL_MS = 60_000.0


@dataclass(frozen=True, slots=True)
class OtlpOptions:
    """The OTLP protocol of one signal, and the ignored variables; the SDK's exporters read the others themselves."""

    protocol: OtlpProtocol = "http/protobuf"
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TelemetryEnvironment:
    """The destinations of spans and metrics, and a warning for each ignored value."""

    disabled: bool = False
    exporters: tuple[str, ...] = ()
    otlp_configured: bool = False
    traces: OtlpOptions = OtlpOptions()
    metrics_exporters: tuple[str, ...] = ()
    metrics: OtlpOptions = OtlpOptions()
    metrics_interval_s: float = 60.0
    are_metrics_deltas: bool = False
    otlp_endpoint: str = ""
    is_otlp_insecure: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def sends_otlp(self) -> bool:
        """Whether spans are sent by OTLP."""
        is_on = not self.disabled and "none" not in self.exporters
        return is_on and ("otlp" in self.exporters or (self.otlp_configured and not self.exporters))


def read_telemetry_environment(environ: Mapping[str, str] | None = None) -> TelemetryEnvironment:
    """Read `OTEL_SDK_DISABLED`, the variables of exporters, and the OTLP variables that the SDK's exporters refuse."""
    read = _Reading(os.environ if environ is None else environ)
    exporters = read.names("OTEL_TRACES_EXPORTER", _TRACES_EXPORTERS)
    traces = read.otlp("TRACES")
    endpoint = read.first("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")[1]
    metrics_exporters = read.names("OTEL_METRICS_EXPORTER", _METRICS_EXPORTERS)
    if not metrics_exporters and read.text("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"):
        # The common endpoint is not enough: it is often that of Jaeger, which accepts no metrics.
        metrics_exporters = ("otlp",)
    return TelemetryEnvironment(
        disabled=read.is_true("OTEL_SDK_DISABLED"),
        exporters=exporters,
        otlp_configured="otlp" in exporters or bool(endpoint),
        traces=traces,
        otlp_endpoint=endpoint,
        is_otlp_insecure=_is_insecure(read, endpoint, traces.protocol),
        metrics_exporters=() if "none" in metrics_exporters else metrics_exporters,
        metrics=read.otlp("METRICS"),
        are_metrics_deltas=read.one_of(_TEMPORALITY, ("cumulative", "delta", "lowmemory")) in ("delta", "lowmemory"),
        metrics_interval_s=read.milliseconds("OTEL_METRIC_EXPORT_INTERVAL", _DEFAULT_INTERVAL_MS) / 1e3,
        warnings=tuple(dict.fromkeys(read.warnings)),
    )


def remove_unusable_variables() -> None:
    """Remove variables that make OpenTelemetry fail from this process's environment, and log each of them.

    These are span limits that are not numbers, and propagators that are not installed. BentoML creates a tracer
    provider and imports the propagators, so the service could not start with them.
    """
    read = _Reading(os.environ)
    for name in read.unusable_limits():
        del os.environ[name]
    if given := read.text(_PROPAGATORS):
        installed = {point.name for point in entry_points(group="opentelemetry_propagator")}
        kept = read.names(_PROPAGATORS, [*sorted(installed), "none"])
        if kept and ",".join(kept) != given:
            os.environ[_PROPAGATORS] = ",".join(kept)
        elif not kept:
            del os.environ[_PROPAGATORS]
    for warning in read.warnings:
        _LOGGER.warning("%s", warning)


@contextmanager
def unset(names: Sequence[str]) -> Iterator[None]:
    """Unset variables inside the `with` block: ignored variables would make the SDK raise an error."""
    values = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(values)


class _Reading:
    """Reads variables and collects warnings of ignored values; an empty variable counts as not set."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.warnings: list[str] = []

    def text(self, name: str) -> str:
        return self._environ.get(name, "").strip()

    def first(self, *names: str) -> tuple[str, str]:
        """Return the first variable that is set, and its value; two empty strings if none is set."""
        return next(((name, value) for name in names if (value := self.text(name))), ("", ""))

    def names(self, name: str, known: Sequence[str]) -> tuple[str, ...]:
        given = [each.strip().lower() for each in self.text(name).split(",") if each.strip()]
        for each in given:
            if each not in known:
                self._ignore(name, each, f"use {', '.join(known)}")
        return tuple(dict.fromkeys(each for each in given if each in known))

    def one_of(self, name: str, known: Sequence[str]) -> str:
        """Return the value in lower case; an empty string if it is not set or not one of `known`."""
        value = self.text(name).lower()
        if value and value not in known:
            self._ignore(name, value, f"use {', '.join(known)}")
        return value if value in known else ""

    def is_true(self, name: str) -> bool:
        return self.one_of(name, ("true", "false")) == "true"

    def milliseconds(self, name: str, default: float) -> float:
        return self._positive(name, self.text(name)) or default

    def otlp(self, signal: Signal) -> OtlpOptions:
        def first(what: str) -> tuple[str, str]:
            return self.first(f"OTEL_EXPORTER_OTLP_{signal}_{what}", f"OTEL_EXPORTER_OTLP_{what}")

        name, value = first("PROTOCOL")
        protocol: OtlpProtocol = next((each for each in _PROTOCOLS if each == value), "http/protobuf")
        if value not in ("", protocol):
            self._ignore(name, value, "use http/protobuf or grpc")
        compressions = ("none", "gzip") if protocol == "grpc" else ("none", "gzip", "deflate")
        ignored = []
        for part in (f"{signal}_", ""):  # the SDK reads both variables
            timeout, compression = f"OTEL_EXPORTER_OTLP_{part}TIMEOUT", f"OTEL_EXPORTER_OTLP_{part}COMPRESSION"
            if timeout in self._environ and self._positive(timeout, self.text(timeout), if_empty=False) is None:
                ignored.append(timeout)
            if compression in self._environ and self.text(compression).lower() not in compressions:
                self._ignore(compression, self._environ[compression], f"use {', '.join(compressions)}")
                ignored.append(compression)
        return OtlpOptions(protocol, tuple(ignored))

    def unusable_limits(self) -> tuple[str, ...]:
        """Return the span and attribute limits whose value is neither a number nor `unset`."""
        found = []
        for name in (each for each in self._environ if _LIMIT.fullmatch(each)):
            value = self.text(name)
            if value.lower() != "unset" and not value.isdecimal():
                self._ignore(name, value, "give a whole number")
                found.append(name)
        return tuple(found)

    def _positive(self, name: str, text: str, *, if_empty: bool = True) -> float | None:
        """Return the positive number; None if `text` is none. Warn of it, unless `text` is empty and may be."""
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if 0 < value < math.inf:
            return value
        if text or not if_empty:
            self._ignore(name, text, "give a number above 0")
        return None

    def _ignore(self, name: str, value: str, instead: str) -> None:
        self.warnings.append(f"{name}={value!r} cannot be used and is ignored: {instead}.")


def _is_insecure(read: _Reading, endpoint: str, protocol: str) -> bool:
    """Whether spans are sent in plain text, by the SDK's rule: only its gRPC exporter reads `_INSECURE` variables."""
    scheme = endpoint.partition("://")[0].lower()
    if protocol == "grpc" and scheme != "https":
        name, value = read.first("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "OTEL_EXPORTER_OTLP_INSECURE")
        if name:
            return value.lower() == "true"
    return scheme == "http" or not endpoint
