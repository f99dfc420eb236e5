"""A home folder that cannot be written, as on a read-only disk."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from fault_load import Answers, checked_loads
from fault_server import monitor_home, server_spec

from bento_monitor.lab.server.process import start_server


@dataclass(frozen=True, slots=True)
class DiskOutcome:
    """The responses and the log of a worker that can write neither its report nor its traces."""

    answers: Answers
    log: str


def run_without_disk(seconds: float, rate_rps: float, home: Path) -> DiskOutcome:
    """Serve under load with a file instead of the home folder, so that not even root can write into it."""
    monitor_home(home).touch()
    with start_server(server_spec(home)) as server, checked_loads(server.port, rate_rps) as loads:
        time.sleep(seconds)
        answers = loads.stop()
    return DiskOutcome(answers, (home / "server.log").read_text(errors="replace"))
