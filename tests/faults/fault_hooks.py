"""Broken functions of the monitor in a serving worker: requests must not notice."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fault_load import Answers, checked_loads
from fault_server import ask, server_spec

from bento_monitor.lab.server.process import start_server

# Hooks that do not hide each other are broken at once.
GROUPS: Mapping[str, Sequence[str]] = {
    "start_ledger": ("start_ledger",),
    "enter_request": ("enter_request",),
    "finish": ("finish",),
    "request_id": ("request_id",),
    "batches, metrics": ("enter_batch", "metrics", "memory_watch", "releases", "report"),
    "batch ends, access log": ("finish_batch", "access_log", "freeze", "export"),
    "notes, spans, provider": ("note_for_log", "build_spans", "adopt_provider"),
    "turn": ("turn",),
    "connection counts": ("connection_counts",),
    "connection slot": ("connection_slot",),
}
_CONNECTIONS = 20
BUG = "a bug of the monitor's own"
_OF_TWO_WORKERS = frozenset({"turn", "connection_counts", "connection_slot"})


@dataclass(frozen=True, slots=True)
class HookOutcome:
    """The outcome of a worker with broken hooks; `raised` counts the failure in its log, `log_lines` all lines."""

    answers: Answers
    headers: frozenset[str]
    raised: int
    log_lines: int
    log: str


def run_broken(hooks: Sequence[str], seconds: float, rate_rps: float, home: Path) -> HookOutcome:
    """Serve under load with some hooks broken."""
    workers = 2 if _OF_TWO_WORKERS & set(hooks) else 1
    spec = server_spec(home, env={"FAULT_HOOK": ",".join(hooks)}, workers=workers, module="fault_broken")
    with start_server(spec) as server, checked_loads(server.port, rate_rps) as loads:
        time.sleep(seconds)
        answers = loads.stop()
        # Each on a new connection: a hook that runs once per connection then runs more often than it may fail.
        replies = [ask(server.port, "/echo", b'{"x": 1}') for _ in range(_CONNECTIONS)]
    log = (home / "server.log").read_text(errors="replace")
    return HookOutcome(answers, replies[-1].headers, log.count(BUG), log.count("\n"), log)
