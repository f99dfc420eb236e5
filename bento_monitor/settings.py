"""What a person can set, and the only place where environment variables are read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from .errors import InputError

_PREFIX = "BENTO_MONITOR_"


def bentoml_home() -> Path:
    """Where BentoML keeps its models: `BENTOML_HOME`, or `bentoml` in the user's home."""
    named = os.environ.get("BENTOML_HOME")
    return Path(named).expanduser() if named else Path.home() / "bentoml"


def _default_home() -> Path:
    return bentoml_home() / "bento_monitor"


class MonitorSettings(BaseSettings):
    """Settings of the monitor, each from `BENTO_MONITOR_<NAME>`; an unknown name is refused."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, extra="forbid", frozen=True)

    enabled: bool = Field(default=True, description="False: the service runs as if it were not wrapped.")
    fast_path: bool = Field(default=True, description="False: every request takes BentoML's own path.")
    spread_connections: bool = Field(
        default=True, description="False: whichever worker is first accepts a connection, as in BentoML."
    )
    home: Path = Field(default_factory=_default_home, description="Where traces, pointers and worker states are kept.")
    trace_store_max_bytes: int = Field(default=64 * 2**20, ge=2**20, description="Size of the embedded trace store.")
    trace_queue_size: int = Field(default=8192, ge=1, description="Ledgers that may wait to be built into spans.")
    trace_rate_limit: float = Field(
        default=200.0, ge=0, description="Traces a second of a worker, whatever callers ask for; 0 is no limit."
    )
    trace_rate_burst: int = Field(default=1000, ge=1, description="Traces at once after a quiet time, over that rate.")
    flush_timeout_s: float = Field(default=1.0, gt=0, description="Time to hand over what is queued at shutdown.")
    release_poll_interval_s: float = Field(default=0.2, gt=0, description="How often a worker looks for a new release.")
    release_probation_s: float = Field(
        default=20.0, ge=0, description="Time that a new release is watched for failures."
    )
    max_body_bytes: int = Field(default=2**30, ge=1, description="A request with a larger body is answered 413.")
    body_idle_timeout_s: float = Field(
        default=30.0, gt=0, description="Time without a byte of a request's body; it is then answered 408."
    )
    max_header_count: int = Field(default=1000, ge=1, description="A request with more headers is answered 431.")
    max_header_bytes: int = Field(
        default=2**16, ge=1, description="A request whose headers and URL are larger is answered 431."
    )
    head_timeout_s: float = Field(
        default=30.0, gt=0, description="Time for a connection's first request, and for the headers of any, to come."
    )
    max_waiting_connections: int = Field(
        default=4096, ge=1, description="Connections of a worker without a whole request yet; the oldest is closed."
    )
    target: str | None = Field(default=None, description="Service that the wrapper serves: module:Service.")
    workers: int | None = Field(default=None, ge=1, description="Worker processes of that service, if not its own.")


def load_settings() -> MonitorSettings:
    """Read the settings from the environment.

    Raises:
        InputError: a `BENTO_MONITOR_*` variable is unknown, or its value cannot be used.
    """
    known = {(_PREFIX + name).upper() for name in MonitorSettings.model_fields}
    unknown = sorted(name for name in os.environ if name.upper().startswith(_PREFIX) and name.upper() not in known)
    if unknown:
        raise InputError(f"Unknown setting {', '.join(unknown)}: unset it, or use one of {', '.join(sorted(known))}.")
    try:
        return MonitorSettings()
    except ValidationError as error:
        details = "; ".join(
            f"{_PREFIX}{str(item['loc'][0]).upper()}={item['input']!r}: {item['msg']}" for item in error.errors()
        )
        raise InputError(f"A setting cannot be used: {details}.") from None


OtlpProtocol = Literal["http/protobuf", "grpc"]


@dataclass(frozen=True, slots=True)
class TelemetryEnvironment:
    """What the standard `OTEL_*` variables say about where spans go; the SDK itself reads the rest of them."""

    disabled: bool
    exporters: tuple[str, ...]
    otlp_configured: bool
    otlp_protocol: OtlpProtocol


def read_telemetry_environment(environ: Mapping[str, str] | None = None) -> TelemetryEnvironment:
    """Read `OTEL_SDK_DISABLED`, `OTEL_TRACES_EXPORTER` and the OTLP endpoint and protocol variables.

    Raises:
        InputError: the protocol is none that the OTLP exporters speak.
    """
    env = os.environ if environ is None else environ
    protocol = env.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or env.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    protocol = protocol or "http/protobuf"
    if protocol not in ("http/protobuf", "grpc"):
        raise InputError(f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol!r} is not supported: use http/protobuf or grpc.")
    endpoints = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    exporters = tuple(name.strip() for name in env.get("OTEL_TRACES_EXPORTER", "").split(",") if name.strip())
    return TelemetryEnvironment(
        disabled=env.get("OTEL_SDK_DISABLED", "").lower() == "true",
        exporters=exporters,
        otlp_configured="otlp" in exporters or any(env.get(name) for name in endpoints),
        otlp_protocol=cast(OtlpProtocol, protocol),
    )
