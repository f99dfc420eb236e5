"""Workers killed under load: the effect on the others, and the spans reported as lost."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from fault_load import Answers, checked_loads
from fault_server import monitor_home, server_spec, wait_for
from fault_spans import count_by_process, duplicates, sent_spans
from fault_watch import Watch, watched

from bento_monitor.lab.server.process import ServerProcess, start_server
from bento_monitor.testing import OtlpReceiver
from bento_monitor.tracing.export.delivery_report import ProcessDelivery, read_delivery_reports

_WORKERS = 2
_RESPAWN_TIMEOUT_S = 60.0
_SETTLE_S = 0.5
# The kernel needs some time to end a process, and its connections are open until then.
_ENDING_NS = 500_000_000
_UP = b" initialized"
# Random arrivals may briefly exceed the rate.
_BURST_S = 0.2


@dataclass(frozen=True, slots=True)
class Kill:
    """One killed worker: the time by CLOCK_MONOTONIC and by the clock, and the time until another worker served."""

    pid: int
    at_ns: int
    at_s: float
    replaced_s: float


@dataclass(frozen=True, slots=True)
class KillOutcome:
    """The outcome of the kills. `received` counts the spans of each process, `traced` the requests among them.

    `not_in_flight` counts requests that failed although they were not in flight when a worker was killed. `rate_rps` is
    the rate of all requests.
    """

    rate_rps: float

    answers: Answers
    kills: tuple[Kill, ...]
    not_in_flight: int
    watch: Watch
    reports: tuple[ProcessDelivery, ...]
    received: dict[int, int]
    traced: int
    duplicates: int

    def could_be_lost(self) -> float:
        """Count the requests in the last reports of killed workers, and those that came after the reports."""
        killed_at_s = {kill.pid: kill.at_s for kill in self.kills}
        found = 0.0
        for report in (each.report for each in self.reports if each.state == "lost"):
            since_s = killed_at_s[report.pid] - report.written_at_s
            queued = sum(exporter.queued for exporter in report.stats.exporters)
            found += report.stats.waiting + queued + (since_s + _BURST_S) * self.rate_rps
        return found


def run_kills(count: int, rate_rps: float, home: Path, env: Mapping[str, str] | None = None) -> KillOutcome:
    """Kill one of two workers `count` times, each time once both serve."""
    with OtlpReceiver() as receiver, ExitStack() as stack:
        spec = server_spec(home, receiver, env, workers=_WORKERS)
        with start_server(spec) as server, watched(monitor_home(home)) as watch:
            loads = stack.enter_context(checked_loads(server.port, rate_rps))
            kills = tuple(_kill_one(server, home, seed) for seed in range(count))
            answers = loads.stop()
        spans = sent_spans(receiver)
    return KillOutcome(
        rate_rps=rate_rps,
        answers=answers,
        kills=kills,
        not_in_flight=sum(not _is_in_flight(failure, kills) for failure in answers.failures_ns),
        watch=watch,
        reports=tuple(read_delivery_reports(monitor_home(home))),
        received=count_by_process(spans),
        traced=sum(span.name.startswith("POST ") for span in spans),
        duplicates=duplicates(spans),
    )


def _kill_one(server: ServerProcess, home: Path, seed: int) -> Kill:
    time.sleep(_SETTLE_S)
    up = _times_up(home)
    # A worker that has served nothing yet has no report, and nothing to lose.
    wait_for(lambda: bool(_served(server, home)), _RESPAWN_TIMEOUT_S)
    pid = random.Random(seed).choice(_served(server, home))
    at_ns, at_s = time.monotonic_ns(), time.time()
    os.kill(pid, signal.SIGKILL)
    return Kill(pid, at_ns, at_s, replaced_s=wait_for(lambda: _times_up(home) > up, _RESPAWN_TIMEOUT_S))


def _served(server: ServerProcess, home: Path) -> list[int]:
    reports = {found.report.pid for found in read_delivery_reports(monitor_home(home))}
    return sorted(reports.intersection(server.worker_pids()))


def _times_up(home: Path) -> int:
    return (home / "server.log").read_bytes().count(_UP)


def _is_in_flight(failure: tuple[int, int], kills: Sequence[Kill]) -> bool:
    planned_ns, done_ns = failure
    return any(planned_ns < kill.at_ns + _ENDING_NS and done_ns >= kill.at_ns for kill in kills)
