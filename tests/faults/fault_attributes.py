"""Spans of the service's own code with attributes that no exporter supports."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from fault_load import Answers, checked_loads
from fault_server import ask, monitor_home, server_spec
from fault_watch import Watch, watched

from bento_monitor.lab.server.process import start_server
from bento_monitor.testing import OtlpReceiver, SpanRecord

_ASKED = 20


@dataclass(frozen=True, slots=True)
class AttributesOutcome:
    """The outcome of a load during which such spans were made; `wrong` counts wrong responses to their requests."""

    answers: Answers
    watch: Watch
    asked: int
    wrong: int
    spans: list[SpanRecord]
    largest_export_bytes: int


def run_odd_attributes(seconds: float, rate_rps: float, home: Path) -> AttributesOutcome:
    """Serve under load, with occasional requests whose code makes such a span."""
    wrong = 0
    with OtlpReceiver() as receiver:
        with (
            start_server(server_spec(home, receiver)) as server,
            watched(monitor_home(home)) as watch,
            checked_loads(server.port, rate_rps) as loads,
        ):
            for x in range(_ASKED):
                reply = ask(server.port, "/odd", b'{"x": %d}' % x)
                wrong += (reply.status, reply.body) != (200, b"%d" % (x + 1))
                time.sleep(seconds / _ASKED)
            answers = loads.stop()
        spans = receiver.spans()
        largest = max(len(export.body) for export in receiver.exports)
    return AttributesOutcome(answers, watch, _ASKED, wrong, spans, largest)
