"""What a person can set, and the only place where environment variables are read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, cast

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from .errors import InputError

_PREFIX = "BENTO_MONITOR_"


def bentoml_home() -> Path:
    """Where BentoML keeps its models: `BENTOML_HOME`, or `bentoml` in the user's home."""
    named = os.environ.get("BENTOML_HOME")
    return Path(named).expanduser() if named else Path.home() / "bentoml"


def _default_home() -> Path:
    return bentoml_home() / "bento_monitor"


def _split(value: object) -> object:
    return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value


def _split_fields(value: object) -> object:
    names = _split(value)
    for name in names if isinstance(value, str) and isinstance(names, tuple) else ():
        api, dot, field = name.partition(".")
        if not (dot and api.isidentifier() and field.isidentifier()):
            raise ValueError(f"{name!r} is no api.field")
    return names


class MonitorSettings(BaseSettings):
    """Settings of the monitor, each from `BENTO_MONITOR_<NAME>`; an unknown name is refused."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, extra="forbid", frozen=True)

    enabled: bool = Field(default=True, description="False: the service runs as if it were not wrapped.")
    fast_path: bool = Field(default=True, description="False: every request takes BentoML's own path.")
    tracing: bool = Field(
        default=True,
        description="False: nothing is recorded of a request: no traces, no metrics of ours.",
    )
    spread_connections: bool = Field(
        default=True, description="False: whichever worker is first accepts a connection, as in BentoML."
    )
    home: Path = Field(
        default_factory=_default_home, description="Where traces, active states and worker states are kept."
    )
    trace_store_max_bytes: int = Field(default=64 * 2**20, ge=2**20, description="Size of the embedded trace store.")
    trace_queue_size: int = Field(default=8192, ge=1, description="Ledgers that may wait to be built into spans.")
    trace_rate_limit: float = Field(
        default=200.0, ge=0, description="Traces a second of a worker, whatever callers ask for; 0 is no limit."
    )
    trace_rate_burst: int = Field(default=1000, ge=1, description="Traces at once after a quiet time, over that rate.")
    trace_keep: Annotated[tuple[Literal["failed", "slow", "first"], ...], NoDecode, BeforeValidator(_split)] = Field(
        default=("failed", "slow", "first"),
        description="Requests that are traced though they were not sampled, separated by commas; empty: none.",
    )
    trace_slow_ms: float | None = Field(
        default=None, gt=0, description="What is slow; without it, the slowest hundredth of a route's requests."
    )
    user_spans: bool = Field(
        default=True, description="False: spans of the service's own code need a tracer provider that it sets itself."
    )
    trace_keep_rate_limit: float = Field(
        default=10.0, ge=0, description="Traces a second of a worker that are kept so; 0 is no limit."
    )
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
    capture_fields: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_fields)] = Field(
        default=(), description="Inputs whose values go onto the server span: api.field, separated by commas."
    )
    capture_redaction: bool = Field(
        default=True, description="False: what looks like a secret is not left out of what is captured."
    )
    profile_folder: Path | None = Field(
        default=None, description="Where a worker notes collections and lags; set by bento-monitor profile."
    )
    profile_stock: bool = Field(
        default=False, description="True: BentoML's own request path, for bento-monitor profile --as stock."
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
    """What the standard `OTEL_*` variables say about where spans and metrics go; the SDK reads the rest of them."""

    disabled: bool
    exporters: tuple[str, ...]
    otlp_configured: bool
    otlp_protocol: OtlpProtocol
    metrics_otlp: bool = False
    metrics_protocol: OtlpProtocol = "http/protobuf"
    metrics_interval_s: float = 60.0
    otlp_endpoint: str = ""
    is_otlp_insecure: bool = False

    @property
    def sends_otlp(self) -> bool:
        """Whether spans go anywhere by OTLP."""
        is_on = not self.disabled and "none" not in self.exporters
        return is_on and ("otlp" in self.exporters or (self.otlp_configured and not self.exporters))


def read_telemetry_environment(environ: Mapping[str, str] | None = None) -> TelemetryEnvironment:
    """Read `OTEL_SDK_DISABLED`, the exporters' variables, and those of OTLP's endpoints and protocols.

    Raises:
        InputError: a protocol is none that the OTLP exporters speak, or an interval is no time.
    """
    env = os.environ if environ is None else environ
    protocol = _otlp_protocol(env, "TRACES")
    endpoint = env.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or env.get("OTEL_EXPORTER_OTLP_ENDPOINT") or ""
    exporters = tuple(name.strip() for name in env.get("OTEL_TRACES_EXPORTER", "").split(",") if name.strip())
    return TelemetryEnvironment(
        disabled=env.get("OTEL_SDK_DISABLED", "").lower() == "true",
        exporters=exporters,
        otlp_configured="otlp" in exporters or bool(endpoint),
        otlp_protocol=protocol,
        otlp_endpoint=endpoint,
        is_otlp_insecure=_is_insecure(env, endpoint, protocol),
        # An endpoint for all signals is not enough: Jaeger, which it often names, takes no metrics.
        metrics_otlp=env.get("OTEL_METRICS_EXPORTER") == "otlp" or bool(env.get("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")),
        metrics_protocol=_otlp_protocol(env, "METRICS"),
        metrics_interval_s=_milliseconds(env, "OTEL_METRIC_EXPORT_INTERVAL", 60_000) / 1e3,
    )


def _otlp_protocol(env: Mapping[str, str], signal: str) -> OtlpProtocol:
    protocol = env.get(f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL") or env.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    protocol = protocol or "http/protobuf"
    if protocol not in ("http/protobuf", "grpc"):
        raise InputError(f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol!r} is not supported: use http/protobuf or grpc.")
    return cast(OtlpProtocol, protocol)


def _milliseconds(env: Mapping[str, str], name: str, default: float) -> float:
    text = env.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if value <= 0:
        raise InputError(f"{name}={text!r} is no time: give milliseconds, as in {name}=10000.")
    return value


def _is_insecure(env: Mapping[str, str], endpoint: str, protocol: str) -> bool:
    """Whether spans are sent in plain text, as the SDK's exporters decide it; only gRPC's ask the `_INSECURE` ones."""
    scheme = endpoint.partition("://")[0].lower()
    if protocol == "grpc" and scheme != "https":
        for name in ("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "OTEL_EXPORTER_OTLP_INSECURE"):
            if name in env:
                return env[name].lower() == "true"
    return scheme == "http" or not endpoint
