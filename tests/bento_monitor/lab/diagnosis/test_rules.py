"""Each rule on written records; tests/integration/test_profile.py tests the rules on real servers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from profiles import HEALTHY, QUIET, profile

from bento_monitor.lab.diagnosis import RULES, diagnose
from bento_monitor.lab.profiling.profile_record import GcPauses, Profile, ServerUse, StageTime
from bento_monitor.machine.gpu_use import GpuUse


def rules_of(found: Profile) -> list[str]:
    return [finding.rule for finding in diagnose(found)]


def paused(**changes) -> ServerUse:
    return replace(HEALTHY, pauses=replace(GcPauses(8, 2400, 350, 0.97, 0.3), **changes))


def test_each_rule_is_named_after_its_file():
    for rule in RULES:
        assert rule.__name__ == f"find_{rule.__module__.rpartition('.')[2]}"


def test_healthy_service_has_no_finding():
    assert rules_of(profile()) == []
    assert rules_of(profile(workers=2)) == []


def test_service_without_observations_has_no_finding():
    assert rules_of(profile(server=None)) == []


def test_slow_requests_that_waited_for_collections_are_reported():
    (finding,) = diagnose(profile(paused(), census={"TimerHandle": 60_000, "dict": 9}))
    assert finding.rule == "collector_pauses"
    assert "8 collections in 8 s" in finding.evidence[0]
    assert "30% of the time, the longest 350 ms" in finding.evidence[1]
    assert "97% of the slowest" in finding.evidence[2]
    assert "60000 timers" in finding.evidence[4]
    assert "monitored" in finding.remedy


def test_collections_of_a_heap_without_timers_have_another_remedy():
    (finding,) = diagnose(profile(paused()))
    assert len(finding.evidence) == 4
    assert "gc.freeze" in finding.remedy


@pytest.mark.parametrize(
    "changes",
    [{"longest_ms": 5}, {"slow_share": 0.3}, {"slow_share": 0.55, "every_share": 0.4}],
    ids=["short", "rarely", "no more than chance"],
)
def test_collections_that_do_not_explain_the_tail_are_not_reported(changes):
    assert rules_of(profile(paused(**changes))) == []


def test_worker_with_all_connections_is_reported():
    uneven = replace(HEALTHY, largest_share=1.0, largest_cpu_share=0.98)
    assert rules_of(profile(uneven, workers=2)) == ["uneven_workers"]
    assert rules_of(profile(uneven, workers=1)) == []
    assert rules_of(profile(replace(uneven, connections=1), workers=2)) == []
    assert rules_of(profile(replace(uneven, largest_cpu_share=0.6), workers=2)) == []


def test_batch_wait_on_an_idle_server_names_the_window():
    waiting = (StageTime("queue", 20.0, 800), StageTime("infer", 2.0, 800))
    idle = replace(HEALTHY, cpu_cores=0.1)
    (finding,) = diagnose(profile(idle, stages=waiting, batch_size=1.2))
    assert finding.rule == "batch_window"
    assert "waits 20.0 ms, 91% of its time" in finding.evidence[0]
    assert "a batch of 1.2 requests" in finding.evidence[1]
    assert rules_of(profile(stages=waiting)) == []
    assert rules_of(profile(idle, stages=waiting, batch_size=None)) == []


def test_more_busy_threads_than_cores_are_reported():
    crowded = replace(HEALTHY, cpu_cores=1.9, busy_threads=8, involuntary_switches_per_s=2000)
    assert rules_of(profile(crowded)) == ["busy_threads"]
    assert rules_of(profile(replace(crowded, busy_threads=3))) == []
    assert rules_of(profile(replace(crowded, cpu_cores=0.5))) == []
    assert rules_of(profile(replace(crowded, involuntary_switches_per_s=20))) == []


def test_noisy_neighbor_is_reported():
    busy = replace(QUIET, idle_cores=0.05, other_cores=1.0)
    assert rules_of(profile(machine=busy)) == ["neighbour"]
    assert rules_of(profile(machine=replace(busy, idle_cores=0.5))) == []
    assert rules_of(profile(machine=replace(busy, other_cores=0.2))) == []
    assert rules_of(profile(machine=replace(QUIET, steal_ratio=0.2))) == ["neighbour"]


ROOMY = replace(QUIET, cores=16, idle_cores=14.2)


def test_busy_interpreter_beside_idle_cores_asks_for_workers():
    (finding,) = diagnose(profile(replace(HEALTHY, cpu_cores=1.05), ROOMY))
    assert finding.title == "The worker keeps one core busy, and 14 others are idle"
    assert "uses 1.05 cores, as one interpreter does" in finding.evidence[0]
    assert "14.2 of 16 cores are idle" in finding.evidence[1]
    assert "the GPU computes 50% of the time" in finding.evidence[2]
    assert "--workers 15 at most" in finding.remedy
    (finding,) = diagnose(profile(replace(HEALTHY, cpu_cores=2.1), ROOMY, workers=2, gpus=()))
    assert finding.title.startswith("Each of 2 workers")
    assert len(finding.evidence) == 2


@pytest.mark.parametrize(
    ("cpu_cores", "idle_cores", "changes"),
    [
        (0.4, 14.2, {}),
        (6.0, 9.5, {}),
        (1.0, 0.9, {}),
        (1.0, 14.2, {"connections": 3}),
        (1.0, 14.2, {"gpus": (GpuUse("Test GPU", 0.95, 2**30, 70.0, 12.0),)}),
    ],
    ids=["idle worker", "many threads", "no core idle", "too few clients", "GPU at its limit"],
)
def test_idle_cores_are_no_finding_where_workers_would_not_help(cpu_cores, idle_cores, changes):
    machine = replace(ROOMY, idle_cores=idle_cores)
    assert rules_of(profile(replace(HEALTHY, cpu_cores=cpu_cores), machine, **changes)) == []
