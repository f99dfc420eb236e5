"""User code that forks during an export."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from fault_load import Answers, checked_loads
from fault_server import Protocol, ask, monitor_home, server_spec
from fault_spans import SentSpan, duplicates, sent_spans

from bento_monitor.lab.server.process import start_server
from bento_monitor.testing import Fault, OtlpReceiver
from bento_monitor.tracing.export.delivery_report import ProcessDelivery, read_delivery_reports

# The duration of each export: so long that nearly every fork is during one.
_EXPORT_S = 0.3
_TRACED_BY_CHILD = 3


@dataclass(frozen=True, slots=True)
class ForkOutcome:
    """The outcome of the forks: the exit codes of the children, and the spans of all processes."""

    answers: Answers
    exit_codes: tuple[int, ...]
    forks_amid_export: int
    reports: tuple[ProcessDelivery, ...]
    worker_pid: int
    spans: tuple[SentSpan, ...]
    duplicates: int


def run_forks(count: int, rate_rps: float, protocol: Protocol, home: Path) -> ForkOutcome:
    """Fork under load, one fork after another; each child traces a few requests and exports them."""
    with OtlpReceiver(protocol) as receiver, receiver.failing(Fault.slow(_EXPORT_S)):
        with start_server(server_spec(home, receiver)) as server:
            (worker_pid,) = server.worker_pids()
            with checked_loads(server.port, rate_rps) as loads:
                receiver.wait_for_spans(bool)
                amid = 0
                codes = []
                for _ in range(count):
                    # Attempts count when they begin, exports when they are accepted.
                    amid += receiver.attempts > len(receiver.exports)
                    codes.append(_fork(server.port))
                answers = loads.stop()
        spans = sent_spans(receiver)
    reports = tuple(read_delivery_reports(monitor_home(home)))
    return ForkOutcome(answers, tuple(codes), amid, reports, worker_pid, tuple(spans), duplicates(spans))


def _fork(port: int) -> int:
    return int(ask(port, "/fork", json.dumps({"x": _TRACED_BY_CHILD}).encode()).body)
