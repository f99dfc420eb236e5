"""SIGTERM with a dead collector: how long the server takes to exit."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil
from fault_load import Answers, checked_loads
from fault_server import Protocol, monitor_home, server_spec

from bento_monitor.lab.server.process import ServerProcess, start_servers
from bento_monitor.testing import Fault, OtlpReceiver
from bento_monitor.tracing.export.delivery_report import ProcessDelivery, read_delivery_reports

_STOP_TIMEOUT_S = 60.0

# Row -> its protocol, and the fault; None if nothing listens.
DEAD_COLLECTORS: Mapping[str, tuple[Protocol, Fault | None]] = {
    "absent": ("http/protobuf", None),
    "hanging": ("http/protobuf", Fault.hang()),
    "status 503": ("http/protobuf", Fault.answer(503)),
    "hanging, grpc": ("grpc", Fault.hang()),
}


@dataclass(frozen=True, slots=True)
class StopOutcome:
    """Times from the last response to the exit of the worker, and of the whole server."""

    answers: Answers
    worker_s: float
    server_s: float
    reports: tuple[ProcessDelivery, ...]


def run_stops(load_s: float, rate_rps: float, home: Path) -> dict[str, StopOutcome]:
    """Start a server for each dead collector; load them, one after another, and stop each right after its load."""
    with ExitStack() as stack:
        specs = []
        for name, (protocol, fault) in DEAD_COLLECTORS.items():
            receiver = stack.enter_context(OtlpReceiver(protocol))
            if fault is None:
                receiver.stop_listening()
            else:
                stack.enter_context(receiver.failing(fault))
            specs.append(server_spec(home / name, receiver))
        servers = stack.enter_context(start_servers(specs))
        return {
            name: _stop(server, load_s, rate_rps, home / name)
            for name, server in zip(DEAD_COLLECTORS, servers, strict=True)
        }


def _stop(server: ServerProcess, load_s: float, rate_rps: float, home: Path) -> StopOutcome:
    workers = [psutil.Process(pid) for pid in server.worker_pids()]
    supervisor = psutil.Process(server.pid)
    with checked_loads(server.port, rate_rps) as loads:
        time.sleep(load_s)
        answers = loads.stop()
    last_s = time.monotonic()
    os.kill(server.pid, signal.SIGTERM)
    psutil.wait_procs(workers, timeout=_STOP_TIMEOUT_S)
    worker_s = time.monotonic() - last_s
    psutil.wait_procs([supervisor], timeout=_STOP_TIMEOUT_S)
    server_s = time.monotonic() - last_s
    return StopOutcome(answers, worker_s, server_s, tuple(read_delivery_reports(monitor_home(home))))
