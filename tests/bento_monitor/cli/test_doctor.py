"""`bento-monitor doctor`: facts for people and programs, and an exit code that says if something must be fixed."""

from __future__ import annotations

import json
import sys
from importlib import metadata
from pathlib import Path

import pytest
from click.testing import CliRunner

from bento_monitor import installation
from bento_monitor.cli import main
from bento_monitor.installation import Extra, describe_telemetry, read_extras, read_home, read_installation
from bento_monitor.integrations import HookStatus
from bento_monitor.telemetry_environment import read_telemetry_environment


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENTO_MONITOR_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_json_names_the_machine_the_packages_and_the_hooks(home: Path) -> None:
    result = CliRunner().invoke(main, ["doctor", "--json"])
    assert result.exit_code == 0, result.output
    shown = json.loads(result.stdout)
    assert shown["machine"]["usable_cpus"] >= 1
    assert shown["packages"]["torch"]
    assert "CPUExecutionProvider" in shown["onnxruntime_providers"]
    assert shown["home"]["path"] == str(home)
    assert shown["problems"] == []
    assert {"name", "is_enabled", "reason"} == set(shown["hooks"][0])


def test_the_tables_name_every_package_and_every_hook() -> None:
    result = CliRunner().invoke(main, ["doctor"], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    facts = read_installation()
    for name in (*facts.packages, *(hook.name for hook in facts.hooks), *(f"[{extra.name}]" for extra in facts.extras)):
        assert name in result.stdout
    assert "No problem found." in result.stdout


def test_unusable_limit_is_a_problem_with_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTO_MONITOR_MAX_BODY_BYTES", "much")
    result = CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 1
    assert "Problem: BENTO_MONITOR_MAX_BODY_BYTES='much' cannot be used" in result.stdout


def test_ignored_setting_is_a_warning_not_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTO_MONITOR_QQQ", "1")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "zipkin")
    result = CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 0, result.output
    assert "Warning: BENTO_MONITOR_QQQ is not a bento-monitor setting: it is ignored." in result.stdout
    assert "Warning: OTEL_TRACES_EXPORTER='zipkin' cannot be used and is ignored" in result.stdout


def test_disabled_hook_is_shown_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = (HookStatus("dispatcher", is_enabled=False, reason="AttributeError: gone"),)
    monkeypatch.setattr("bento_monitor.integrations.check_hooks", lambda: broken)
    result = CliRunner().invoke(main, ["doctor"], env={"COLUMNS": "200"})
    assert "disabled: AttributeError: gone" in result.stdout


def test_missing_extra_names_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = installation._version
    monkeypatch.setattr(installation, "_version", lambda name: None if name == "openvino" else installed(name))
    found = {extra.name: extra for extra in read_extras()}
    assert found["openvino"] == Extra("openvino", missing=("openvino",))
    assert found["openvino"].install_command == "pip install 'bento-monitor[openvino]'"
    result = CliRunner().invoke(main, ["doctor"], env={"COLUMNS": "200"})
    assert "without openvino: pip install 'bento-monitor[openvino]'" in result.stdout


def test_bentoml_import_error_names_the_required_versions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "bento_monitor.integrations", None)  # its import fails
    (problem,) = read_installation().problems
    (asked,) = (each for each in metadata.requires("bento-monitor") or () if each.startswith("bentoml"))
    assert problem.startswith("BentoML cannot be imported")
    assert f'pip install --force-reinstall "{asked}"' in problem


def test_extras_for_contributors_are_not_shown() -> None:
    assert {"examples", "onnx", "openvino", "optimize", "profile", "pump", "sklearn"} == {
        extra.name for extra in read_extras()
    }


def test_missing_home_folder_is_checked_but_not_created(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    found = read_home(folder)
    assert (found.path, found.is_writable) == (str(folder), True)
    assert found.free_bytes > 0
    assert not list(tmp_path.iterdir())


def test_home_folder_that_is_not_writable_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(installation.tempfile, "TemporaryFile", refuse)
    assert any("is not writable: set BENTO_MONITOR_HOME" in problem for problem in read_installation().problems)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "embedded store"),
        ({"OTEL_SDK_DISABLED": "true"}, "nowhere: OTEL_SDK_DISABLED"),
        ({"OTEL_TRACES_EXPORTER": "none"}, "nowhere: OTEL_TRACES_EXPORTER"),
        ({"OTEL_TRACES_EXPORTER": "console"}, "exporters in OTEL_TRACES_EXPORTER: console"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}, "OTLP (http/protobuf)"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTLP (grpc)"),
    ],
)
def test_trace_destination_follows_the_standard_variables(environment: dict[str, str], expected: str) -> None:
    assert describe_telemetry(read_telemetry_environment(environment), None).startswith(expected)


def test_captured_inputs_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTO_MONITOR_CAPTURE_FIELDS", "echo.text")
    result = CliRunner().invoke(main, ["doctor"])
    assert "echo.text" in result.stdout


def test_plain_text_spans_to_another_host_are_a_warning_not_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector.example:4318")
    result = CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 0, result.output
    assert "Warning: Spans go to collector.example by OTLP in plain text" in result.stdout
