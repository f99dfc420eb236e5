"""Commands show what is served, and names from files or clients cannot move the terminal's cursor."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from releasing import FINGERPRINT, SERVICE, FakeModels, make_release, worker
from waiting import wait_until

from bento_monitor.cli import main
from bento_monitor.metrics.otlp_metrics import OtlpMetrics
from bento_monitor.metrics.request_metrics import Levels
from bento_monitor.releases.active_store import ActiveStore
from bento_monitor.releases.promotion import promote
from bento_monitor.releases.worker_state import live_workers, write_worker_state
from bento_monitor.resilience.printable import printable, printable_lines
from bento_monitor.tracing.export.span_builder import SpanBuilder
from bento_monitor.tracing.ledger.ledger import Ledger
from bento_monitor.tracing.store.database import store_path
from bento_monitor.tracing.store.writer import StoreSpanExporter

HOSTILE = "x\x1b[2J\r\n\x00\x7f\x9b31m\u202e"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path))
    monkeypatch.setenv("BENTO_MONITOR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def is_harmless(output: str) -> bool:
    return all(char.isprintable() or char == "\n" for char in output)


def test_only_control_characters_are_escaped() -> None:
    assert printable("naïve café 日本 — “x”") == "naïve café 日本 — “x”"
    assert printable(HOSTILE) == "x\\x1b[2J\\r\\n\\x00\\x7f\\x9b31m\\u202e"
    assert printable_lines("a\nb\x1b") == "a\nb\\x1b"


def test_release_commands_escape_records_states_and_arguments(home: Path) -> None:
    store = ActiveStore(home / "home", SERVICE)
    with worker(store):
        promote(store, *make_release(home, "1", evidence={"candidate": HOSTILE, "speedup": HOSTILE, "speedup_ci95": 3}))
        (state,) = live_workers(store.folder)
        write_worker_state(store.folder, replace(state, pid=state.pid, error=HOSTILE, phase="failed"))
        code, output = run("release", "list")
        assert (code, "not measured" in output, is_harmless(output)) == (0, True, True)
        code, output = run("release", "status", SERVICE)
        assert (code, "\\x1b[2J" in output, is_harmless(output)) == (1, True, True)
    for arguments in (
        ["promote", HOSTILE],
        ["status", HOSTILE],
        ["rollback", "../" + HOSTILE],
        ["promote", "--own", "a/b"],
    ):
        code, output = run("release", *arguments)
        assert (code, is_harmless(output)) == (2, True), output


def test_traces_escape_client_input(home: Path) -> None:
    ledger = Ledger(trace_id=1 << 96, parent_span_id=0, sampled=True, received_ns=1)
    ledger.method, ledger.route, ledger.api, ledger.status = HOSTILE, "/x" + HOSTILE, "x", 200
    ledger.error_type = HOSTILE
    ledger.sent_ns = 10**6
    built = SpanBuilder(Resource({"service.name": HOSTILE}), lambda monotonic_ns: monotonic_ns + 10**18).request(ledger)
    exporter = StoreSpanExporter(store_path(home / "home"), 2**20)
    exporter.export(built)
    exporter.shutdown()
    for arguments in ([], ["00000001"]):
        code, output = run("traces", *arguments)
        assert (code, "\\x1b[2J" in output, is_harmless(output)) == (0, True, True), output


def test_list_marks_every_release(home: Path) -> None:
    store = ActiveStore(home / "home", SERVICE)
    models = FakeModels(refuse={"svc-release:bad": "load"})
    with worker(store, models):
        promote(store, *make_release(home, "active"))
        make_release(home, "other", fingerprint=f"v1:{'b' * 64}")
        make_release(home, "old", fingerprint=None)
        make_release(home, "bad")
        assert run("release", "promote", "svc-release:bad")[0] == 1
        _, folder = make_release(home, "torn")
        (folder / "release.json").write_text("{")
        wait_until(lambda: live_workers(store.folder)[0].fingerprints)
        listed = {each["name"]: each for each in json.loads(run("release", "list", "--json")[1])}
        marks = {name: each["marks"] for name, each in listed.items()}
    assert marks["svc-release:active"] == ["active"]
    assert listed["svc-release:active"]["is_active"]
    assert listed["svc-release:active"]["model_fingerprint"] == FINGERPRINT
    assert marks["svc-release:other"] == ["made from another model than the running server's"]
    assert "without the fingerprint" in marks["svc-release:old"][0]
    assert marks["svc-release:bad"][0].startswith("put aside: Worker")
    assert marks["svc-release:torn"][0].startswith("damaged: ")


def test_status_exits_with_1_if_a_worker_is_not_on_the_active_state(home: Path) -> None:
    store = ActiveStore(home / "home", SERVICE)
    with worker(store):
        promote(store, *make_release(home, "1"))
        code, output = run("release", "status", SERVICE, "--json")
        found = json.loads(output)
        assert (code, found["problems"], found["workers"][0]["is_on_active"]) == (0, [], True)
        assert found["active"]["releases"] == {"model": "svc-release:1"}
        assert found["active"]["batching"] == {"embed": {"max_batch_size": 32, "window_ms": 5.0}}
        (state,) = live_workers(store.folder)
        write_worker_state(store.folder, replace(state, sequence=0))
        code, output = run("release", "status", SERVICE, "--json")
        found = json.loads(output)
        assert (code, found["workers"][0]["is_on_active"]) == (1, False)
        assert "not on the active state" in found["problems"][0]


def test_served_releases_are_exported_over_otlp() -> None:
    metrics = OtlpMetrics(InMemoryMetricReader, Resource.get_empty, 60.0)  # type: ignore[arg-type]
    levels = Levels(
        in_flight=0,
        queue_depth={},
        rate_limited=0,
        records_dropped=0,
        spans={},
        releases={("model", "svc-release:1", "serving"): 1},
        fallbacks={("model", "svc-release:1", "shape"): 3},
        swaps={("refused", "model"): 2},
    )
    metrics.show(levels, {})
    (scope,) = metrics.read(1).resource_metrics[0].scope_metrics
    found = {
        metric.name: [(dict(point.attributes), point.value) for point in metric.data.data_points]
        for metric in scope.metrics
    }
    release = {"bento_monitor.runner.name": "model", "bento_monitor.runner.release": "svc-release:1"}
    assert found["bento_monitor.release.info"] == [({**release, "phase": "serving"}, 1)]
    assert found["bento_monitor.release.fallback"] == [({**release, "reason": "shape"}, 3)]
    assert found["bento_monitor.release.swaps"] == [({"outcome": "refused", "reason": "model"}, 2)]
