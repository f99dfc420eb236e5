"""Foreign or invalid environment variables change neither the served model nor the limits."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from live import COMMAND, Live, Place
from scraping import scrape, total

from bento_monitor.errors import InputError
from bento_monitor.lab.server.process import start_server
from bento_monitor.settings import MonitorSettings, load_settings, read_settings, require_settings
from bento_monitor.telemetry_environment import read_telemetry_environment, remove_unusable_variables
from bento_monitor.tracing.exporters import make_exporters, make_sampler, span_limits

OF_KUBERNETES = {
    "BENTO_MONITOR_PORT": "tcp://10.0.0.1:3000",
    "BENTO_MONITOR_SERVICE_HOST": "10.0.0.1",
    "BENTO_MONITOR_SERVICE_PORT": "3000",
    "BENTO_MONITOR_PORT_3000_TCP_ADDR": "10.0.0.1",
    "BENTO_MONITOR_CANARY_SERVICE_HOST": "10.0.0.2",
}
HOSTILE = {
    "zipkin": {"OTEL_TRACES_EXPORTER": "zipkin"},
    "numbers": {
        "OTEL_METRICS_EXPORTER": "otlp,prometheus",
        "OTEL_METRIC_EXPORT_INTERVAL": "0",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "soon",
        "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "zip",
        "OTEL_ATTRIBUTE_COUNT_LIMIT": "many",
        "OTEL_TRACES_SAMPLER_ARG": "often",
    },
    "protocol": {
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json",
        "OTEL_SDK_DISABLED": "perhaps",
        "OTEL_PROPAGATORS": "b4,baggage",
    },
    "grpc without a certificate": {
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://127.0.0.1:9",
        "OTEL_EXPORTER_OTLP_CERTIFICATE": "/nowhere/ca.pem",
        "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "soon",
    },
    "settings of ours": {
        **OF_KUBERNETES,
        "BENTO_MONITOR_TRACE_QUEUE_SIZE": "large",
        "BENTO_MONITOR_CAPTURE_FIELDS": "everything",
    },
}
LIMITS = {"BENTO_MONITOR_MAX_HEADER_COUNT": "50"}


@pytest.fixture(autouse=True)
def no_variables_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("OTEL_", "BENTO_MONITOR_"))]:
        monkeypatch.delenv(name)


def status_with_headers(live: Live, count: int) -> bytes:
    """Return the status line for a request with `count` headers."""
    head = b"POST /embed HTTP/1.1\r\nhost: x\r\n" + b"".join(b"x-%d: y\r\n" % number for number in range(count))
    with socket.create_connection(("127.0.0.1", live.server.port), timeout=10) as connection:
        connection.sendall(head + b"content-length: 2\r\n\r\n{}")
        return connection.recv(64).split(b"\r\n")[0]


def test_no_telemetry_variable_changes_the_served_model_or_the_limits(tmp_path: Path) -> None:
    place = Place(tmp_path, env=LIMITS)
    with place.serve() as live:
        place.done("promote", place.scaling("1", 1000.0, live))
        assert live.factors() == {1000.0: 40}
    plain = dict(place.env)
    for name, variables in HOSTILE.items():
        place.env = plain | variables
        with place.serve() as live:
            assert live.factors() == {1000.0: 40}, name
            assert b" 431 " in status_with_headers(live, 60), name
            assert total(scrape(live.server), "bento_monitor_request_duration_seconds_count") > 0, name


def test_ignored_variables_are_reported_once_with_valid_values() -> None:
    warnings = read_telemetry_environment(HOSTILE["numbers"] | HOSTILE["zipkin"] | HOSTILE["protocol"]).warnings
    text = "\n".join(warnings)
    assert len(set(warnings)) == len(warnings)
    for said in (
        "OTEL_METRIC_EXPORT_INTERVAL='0' cannot be used and is ignored: give a number above 0.",
        "OTEL_EXPORTER_OTLP_TIMEOUT='soon'",
        "OTEL_EXPORTER_OTLP_COMPRESSION='zip' cannot be used and is ignored: use none, gzip, deflate.",
        "OTEL_EXPORTER_OTLP_PROTOCOL='http/json' cannot be used and is ignored: use http/protobuf or grpc.",
        "OTEL_SDK_DISABLED='perhaps' cannot be used and is ignored: use true, false.",
    ):
        assert said in text
    (zipkin,) = read_telemetry_environment(HOSTILE["zipkin"]).warnings
    assert zipkin == "OTEL_TRACES_EXPORTER='zipkin' cannot be used and is ignored: use otlp, console, none."


@pytest.mark.parametrize("name", ["numbers", "grpc without a certificate"])
def test_exporters_are_made_whatever_the_variables_hold(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in HOSTILE[name].items():
        monkeypatch.setenv(variable, value)
    before = dict(os.environ)
    (exporter,) = make_exporters(MonitorSettings(home=tmp_path))
    exporter.shutdown()
    assert dict(os.environ) == before


def test_invalid_limit_is_ignored(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("OTEL_ATTRIBUTE_COUNT_LIMIT", "many")
    monkeypatch.setenv("OTEL_SPAN_LINK_COUNT_LIMIT", "7")
    assert make_sampler() is not None
    assert (span_limits().max_span_attributes, span_limits().max_links) == (128, 7)
    assert [record.getMessage() for record in caplog.records] == [
        "OTEL_ATTRIBUTE_COUNT_LIMIT='many' cannot be used and is ignored: give a whole number."
    ]


@pytest.mark.parametrize(
    ("given", "kept"), [("b4", None), ("b4, tracecontext", "tracecontext"), ("none", "none"), ("baggage", "baggage")]
)
def test_missing_propagator_is_ignored(
    given: str, kept: str | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_PROPAGATORS", given)
    remove_unusable_variables()
    assert os.environ.get("OTEL_PROPAGATORS") == kept
    assert ("OTEL_PROPAGATORS='b4' cannot be used and is ignored: use " in caplog.text) == ("b4" in given)


def test_unknown_exporter_leaves_the_known_ones() -> None:
    found = read_telemetry_environment({"OTEL_TRACES_EXPORTER": "zipkin, OTLP", "OTEL_METRICS_EXPORTER": "prometheus"})
    assert (found.exporters, found.metrics_exporters, found.sends_otlp) == (("otlp",), ("prometheus",), True)
    assert not read_telemetry_environment({"OTEL_METRICS_EXPORTER": "otlp,none"}).metrics_exporters
    assert read_telemetry_environment({"OTEL_TRACES_EXPORTER": "", "OTEL_METRIC_EXPORT_INTERVAL": ""}).warnings == ()


def test_kubernetes_variables_give_one_warning_and_a_typo_names_the_nearest(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in {**OF_KUBERNETES, "BENTO_MONITOR_MAX_BODY_BYTE": "7"}.items():
        monkeypatch.setenv(name, value)
    for _ in range(2):
        assert load_settings().max_body_bytes == 2**30
    of_kubernetes, slip = (record.getMessage() for record in caplog.records)
    assert of_kubernetes.startswith(
        "BENTO_MONITOR_CANARY_SERVICE_HOST and 4 more, set by Kubernetes for a Service, is not a"
    )
    assert slip.startswith(
        "BENTO_MONITOR_MAX_BODY_BYTE is not a bento-monitor setting (the nearest is BENTO_MONITOR_MAX_BO"
    )
    assert slip.endswith(": it is ignored.")
    require_settings()


@pytest.mark.parametrize(
    ("name", "value", "is_refused"),
    [
        ("MAX_BODY_BYTES", "much", True),
        ("HEAD_TIMEOUT_S", "0", True),
        ("RELEASE_POLL_INTERVAL_S", "-1", True),
        ("ENABLED", "perhaps", True),
        ("TRACING", "perhaps", False),
        ("TRACE_TAIL_SAMPLING", "all", False),
        ("TRACE_RATE_LIMIT", "-1", False),
        ("CAPTURE_FIELDS", "everything", False),
        ("CAPTURE_REDACTION", "some", False),
    ],
)
def test_command_refuses_invalid_limits_and_a_worker_uses_the_default(
    name: str, value: str, is_refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"BENTO_MONITOR_{name}", value)
    settings, (problem,) = read_settings()
    assert problem.is_refused == is_refused
    assert f"BENTO_MONITOR_{name}={value!r} cannot be used" in problem.text
    assert getattr(settings, name.lower()) == getattr(MonitorSettings.model_construct(), name.lower())
    assert load_settings() == settings
    if is_refused:
        with pytest.raises(InputError, match=f"BENTO_MONITOR_{name}.*: change it, or unset it"):
            require_settings()
    else:
        assert require_settings() == settings


def test_former_setting_name_works_with_a_warning_and_the_new_name_wins(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("BENTO_MONITOR_TRACE_KEEP", "failed")
    monkeypatch.setenv("BENTO_MONITOR_TRACE_KEEP_RATE_LIMIT", "3")
    monkeypatch.setenv("BENTO_MONITOR_TRACE_TAIL_RATE_LIMIT", "5")
    settings = load_settings()
    assert (settings.trace_tail_sampling, settings.trace_tail_rate_limit) == (("failed",), 5.0)
    renamed, ignored = (record.getMessage() for record in caplog.records)
    assert renamed == "BENTO_MONITOR_TRACE_KEEP has been renamed to BENTO_MONITOR_TRACE_TAIL_SAMPLING."
    assert ignored.endswith("has been renamed to BENTO_MONITOR_TRACE_TAIL_RATE_LIMIT: it is ignored.")
    assert require_settings() == settings


def test_serve_exits_with_2_for_an_invalid_limit(tmp_path: Path) -> None:
    done = subprocess.run(
        [COMMAND, "serve", "service:Wild"],
        env={**os.environ, "BENTO_MONITOR_MAX_BODY_BYTES": "much"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("Error: BENTO_MONITOR_MAX_BODY_BYTES='much' cannot be used (")
    assert len(done.stderr.splitlines()) == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("no mount here")
    if done.returncode:
        pytest.skip(f"no right to mount a file system here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    path = folder / "filling"
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    return path


def test_full_disk_refuses_a_new_release_and_serves_the_active_one(tmp_path: Path, small_disk: Path) -> None:
    place = Place(tmp_path / "place", env=LIMITS)
    (place.folder / "home").symlink_to(small_disk)
    with place.serve() as live:
        place.done("promote", place.scaling("1", 1000.0, live))
        other = place.scaling("2", 500.0, live)
        filling = fill(small_disk)
        refused = place.run("promote", other)
        assert (refused.returncode, "The disk is full: free some space" in refused.stderr) == (2, True)
        assert live.factors() == {1000.0: 40}
    with start_server(place.spec()) as server:
        live = Live(server, place, 2)
        assert live.factors() == {1000.0: 40}
        assert b" 431 " in status_with_headers(live, 60)
        filling.unlink()
        place.done("promote", other)
        assert live.factors() == {500.0: 40}
