"""`bento-monitor profile` on real servers: it names each bottleneck, and none if there is none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from left_out import BUSY

from bento_monitor.lab.diagnosis import diagnose
from bento_monitor.lab.profiling.profile_record import Profile
from bento_monitor.lab.profiling.sweep import SweepSpec, run_sweep

CORES = os.cpu_count() or 1
COMMAND = str(Path(sys.executable).with_name("bento-monitor"))
SERVICES = Path(__file__).parent / "services" / "profiled.py"


def profile(service: str, served_as="monitored", seconds: float = 2.0, **changes) -> Profile:
    spec = SweepSpec(f"{SERVICES}:{service}", served_as, seconds=seconds, shares=(0.5,), **changes)
    return run_sweep(spec, lambda _: None)


def causes(found: Profile) -> list[str]:
    return [finding.rule for finding in diagnose(found)]


def check(found: Profile, is_right: bool) -> None:
    """Fail if `is_right` is false; skip instead if other processes use the CPU."""
    for finding in diagnose(found):
        if finding.rule == "neighbour" and not is_right:
            pytest.skip(f"{BUSY}: {', '.join(finding.evidence)}")
    assert is_right, causes(found)


@contextmanager
def neighbours(count: int) -> Iterator[None]:
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.mark.parametrize("service", ["Healthy", "HealthyBatches", "HealthyModel"])
def test_healthy_service_has_no_known_bottleneck(service):
    found = profile(service)
    check(found, causes(found) in ([], ["neighbour"]))
    assert [point.failed for point in found.points] == [0, 0, 0]
    assert found.capacity.throughput_rps > 50
    assert all(point.stages for point in found.points)


def test_stock_bentoml_is_slowed_by_collecting_what_its_timers_keep():
    found = profile("Healthy", "stock", seconds=6.0)
    check(found, "collector_pauses" in causes(found))
    (finding,) = [each for each in diagnose(found) if each.rule == "collector_pauses"]
    assert "timers are alive" in finding.evidence[-1]
    assert "monitored" in finding.remedy
    assert found.watching_us is not None
    for point in found.points:
        stages = {stage.name: stage.mean_ms for stage in point.stages}
        assert set(stages) == {"outside the application", "parse", "wait and function", "serialize", "framework"}
        assert min(stages.values()) >= 0
        assert max(stages["parse"], stages["serialize"]) > 0


def test_more_threads_than_cores_are_named():
    found = profile("Crowded", connections=4 * CORES + 4)
    check(found, "busy_threads" in causes(found))


def test_too_long_batch_window_is_named():
    found = profile("LongWindow")
    check(found, "batch_window" in causes(found))


def test_worker_with_all_connections_is_named(monkeypatch):
    monkeypatch.setenv("BENTO_MONITOR_SPREAD_CONNECTIONS", "false")
    found = profile("OneTakesAll")
    check(found, "uneven_workers" in causes(found))


def test_neighbour_that_uses_the_cpu_is_named():
    with neighbours(CORES + 1):
        assert "neighbour" in causes(profile("HealthyModel"))


def test_command_prints_a_table_and_writes_html_and_json(tmp_path):
    page, output = tmp_path / "profile.html", tmp_path / "profile.json"
    command = [COMMAND, "profile", f"{SERVICES}:Healthy", "--seconds", "1"]
    done = subprocess.run(
        [*command, "--html", str(page), "--output", str(output)], capture_output=True, text=True, check=True
    )
    assert "16 clients" in done.stdout
    assert "The standalone function" not in done.stdout  # it is async
    found = json.loads(output.read_text())
    assert len(found["points"]) == 7
    assert found["path"] == "/double"
    assert "<svg" in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "'nothing' cannot be profiled"),
        (["absent.py:Service"], "does not exist"),
        (["https://example.invalid"], "cannot be profiled"),
        ([f"{SERVICES}:Healthy", "--data", "absent.jsonl"], "cannot be read"),
    ],
)
def test_bad_target_is_refused_with_advice(arguments, message):
    command = [COMMAND, "profile", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
