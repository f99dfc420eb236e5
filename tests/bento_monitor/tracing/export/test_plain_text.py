"""The warning about spans in plain text to another host: the variables are read as by the SDK's exporters."""

from __future__ import annotations

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

from bento_monitor.telemetry_environment import read_telemetry_environment
from bento_monitor.tracing.export.plain_text import plain_text_warning

ENDPOINT, TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
INSECURE, TRACES_INSECURE = "OTEL_EXPORTER_OTLP_INSECURE", "OTEL_EXPORTER_OTLP_TRACES_INSECURE"
GRPC = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
FAR, FAR_TLS = "http://collector.example:4317", "https://collector.example:4317"


@pytest.mark.parametrize(
    "variables",
    [
        {ENDPOINT: "http://collector.example:4318"},
        {ENDPOINT: "HTTP://10.0.0.7"},
        {ENDPOINT: "http://[2001:db8::1]:4318"},
        {ENDPOINT: "http://localhost.example:4318"},
        {ENDPOINT: "https://a.example", TRACES_ENDPOINT: "http://b.example/v1/traces"},
        {ENDPOINT: FAR, "OTEL_TRACES_EXPORTER": "console,otlp"},
        {ENDPOINT: FAR, INSECURE: "false"},  # this variable does not apply to HTTP
        {ENDPOINT: FAR} | GRPC,
        {ENDPOINT: "collector.example:4317", INSECURE: "true"} | GRPC,
        {ENDPOINT: "dns:///collector.example:4317", TRACES_INSECURE: "True", INSECURE: "false"} | GRPC,
        {ENDPOINT: "ipv4:10.0.0.7:4317", INSECURE: "true"} | GRPC,
    ],
)
def test_plain_text_to_another_host_gives_a_warning(variables: dict[str, str]) -> None:
    warning = plain_text_warning(read_telemetry_environment(variables))
    assert warning is not None
    assert "in plain text" in warning


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "otlp"},
        {ENDPOINT: "http://localhost:4318"},
        {ENDPOINT: "http://127.8.0.1:4318"},
        {ENDPOINT: "http://[::1]:4318"},
        {ENDPOINT: "http://[::ffff:127.0.0.1]:4318"},
        {ENDPOINT: "http://[broken"},
        {ENDPOINT: "https://collector.example"},
        {ENDPOINT: FAR, TRACES_ENDPOINT: "https://collector.example/v1/traces"},
        {ENDPOINT: FAR, "OTEL_TRACES_EXPORTER": "none"},
        {ENDPOINT: FAR, "OTEL_TRACES_EXPORTER": "console"},
        {ENDPOINT: FAR, "OTEL_SDK_DISABLED": "true"},
        {ENDPOINT: FAR, INSECURE: "false"} | GRPC,
        {ENDPOINT: FAR_TLS, INSECURE: "true"} | GRPC,
        {ENDPOINT: "collector.example:4317"} | GRPC,
        {ENDPOINT: "unix:///run/otel.sock", INSECURE: "true"} | GRPC,
        {ENDPOINT: "localhost:4317", INSECURE: "true"} | GRPC,
        {ENDPOINT: "ipv6:[::1]:4317", INSECURE: "true"} | GRPC,
    ],
)
def test_local_or_encrypted_export_gives_no_warning(variables: dict[str, str]) -> None:
    assert plain_text_warning(read_telemetry_environment(variables)) is None


def test_warning_names_the_host_without_secrets_of_its_url() -> None:
    endpoint = "http://user:secret@collector.example:4318/secret?key=secret"
    warning = plain_text_warning(read_telemetry_environment({ENDPOINT: endpoint}))
    assert warning is not None
    assert "collector.example" in warning
    assert "secret" not in warning


@pytest.mark.parametrize("endpoint", [FAR, FAR_TLS, "collector.example:4317", "unix:/run/otel.sock"])
@pytest.mark.parametrize("insecure", [{}, {INSECURE: "true"}, {INSECURE: "false"}, {TRACES_INSECURE: "true"}])
def test_grpc_is_insecure_exactly_if_the_sdk_exporter_is(
    endpoint: str, insecure: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {ENDPOINT: endpoint, **insecure, **GRPC}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    exporter = OTLPSpanExporter()
    if not hasattr(exporter, "_insecure"):
        exporter.shutdown()
        pytest.skip("this version of the SDK's exporter does not keep what it has read")
    assert read_telemetry_environment(variables).is_otlp_insecure == exporter._insecure
    exporter.shutdown()
