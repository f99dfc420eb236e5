"""A collector that is absent, hangs, is slow, refuses, resets or comes and goes, while a service is under load."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fault_load import Answers, checked_loads
from fault_server import Protocol, monitor_home, server_spec, wait_for
from fault_spans import duplicates, sent_spans
from fault_watch import Watch, watched

from bento_monitor.lab.server.process import start_server
from bento_monitor.testing import Fault, OtlpReceiver
from bento_monitor.tracing.export.delivery_report import DeliveryReport, read_delivery_reports

MakeFault = Callable[[OtlpReceiver, float], None]
_RESUME_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long, how much, and the limits that are scaled to it; None leaves the defaults.

    Args:
        before_s: of load with nothing wrong, and as long again after the fault.
        fault_s: of the fault.
        flap_s: how long a collector that comes and goes stays away, and stays.
        timeout_s: of one export, its repetitions included.
    """

    before_s: float
    fault_s: float
    rate_rps: float
    flap_s: float = 2.0
    timeout_s: float = 10.0
    queue_size: int | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The limits as a server takes them."""
        queue = {} if self.queue_size is None else {"BENTO_MONITOR_TRACE_QUEUE_SIZE": str(self.queue_size)}
        return {"OTEL_EXPORTER_OTLP_TIMEOUT": f"{self.timeout_s:g}", **queue}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a fault of the collector did. Times are of `time.monotonic()`.

    `attempts` were made during the fault; `resumed_s` is from its end until an export was taken. `received` are the
    spans that came in all, `duplicates` those that came more than once; `reports` are those after the stop.
    """

    answers: Answers
    watch: Watch
    reports: tuple[DeliveryReport, ...]
    fault_begin_s: float
    fault_end_s: float
    attempts: int
    resumed_s: float
    received: int
    duplicates: int
    p99_before_ms: float | None
    p99_during_ms: float | None

    def growth(self, of: Literal["rss_mib", "threads", "sockets"]) -> float:
        """How much larger a figure was at most, during the fault and after it, than at most before it."""
        before = [getattr(each, of) for each in self.watch.readings if each.at_s < self.fault_begin_s]
        since = [getattr(each, of) for each in self.watch.readings if each.at_s >= self.fault_begin_s]
        return float(max(since) - max(before))


def collector_faults(lengths: Lengths) -> Mapping[str, tuple[Protocol, MakeFault]]:
    """Every row: its protocol, and what makes the fault for so many seconds and then ends it."""
    http: Protocol = "http/protobuf"
    later_s = round(2 * lengths.timeout_s)
    return {
        "absent": (http, _absent),
        "hanging": (http, _failing(Fault.hang())),
        "slow": (http, _failing(Fault.slow(0.99 * lengths.timeout_s))),
        "status 429": (http, _failing(Fault.answer(429, retry_after_s=later_s))),
        "status 503": (http, _failing(Fault.answer(503))),
        "status 400": (http, _failing(Fault.answer(400))),
        "resetting": (http, _failing(Fault.reset())),
        "flapping": (http, _flapping(lengths.flap_s)),
        "absent, grpc": ("grpc", _absent),
        "status 503, grpc": ("grpc", _failing(Fault.answer(503))),
        "flapping, grpc": ("grpc", _flapping(lengths.flap_s)),
    }


def run_collector_fault(name: str, lengths: Lengths, home: Path) -> Outcome:
    """Serve under load, with nothing wrong, then with the fault, then with nothing wrong again, and stop in order."""
    protocol, make_fault = collector_faults(lengths)[name]
    with OtlpReceiver(protocol) as receiver:
        spec = server_spec(home, receiver, lengths.environment)
        with ExitStack() as stack:
            server = stack.enter_context(start_server(spec))
            watch = stack.enter_context(watched(monitor_home(home), server.worker_pids(), receiver.port))
            with checked_loads(server.port, lengths.rate_rps) as loads:
                receiver.wait_for_spans(bool)
                started_s = time.monotonic()
                time.sleep(lengths.before_s)
                begin_s, attempts = time.monotonic(), receiver.attempts
                make_fault(receiver, lengths.fault_s)
                end_s, attempts = time.monotonic(), receiver.attempts - attempts
                taken = len(receiver.exports)
                resumed_s = wait_for(lambda: len(receiver.exports) > taken, _RESUME_TIMEOUT_S)
                time.sleep(lengths.before_s)
                answers = loads.stop()
            p99_ms = [loads.p99_ms(*_in_ns(*times)) for times in ((started_s, begin_s), (begin_s, end_s))]
        spans = sent_spans(receiver)
    return Outcome(
        answers=answers,
        watch=watch,
        reports=tuple(found.report for found in read_delivery_reports(monitor_home(home))),
        fault_begin_s=begin_s,
        fault_end_s=end_s,
        attempts=attempts,
        resumed_s=resumed_s,
        received=len(spans),
        duplicates=duplicates(spans),
        p99_before_ms=p99_ms[0],
        p99_during_ms=p99_ms[1],
    )


def _in_ns(begin_s: float, end_s: float) -> tuple[int, int]:
    return round(begin_s * 1e9), round(end_s * 1e9)


def _absent(receiver: OtlpReceiver, seconds: float) -> None:
    receiver.stop_listening()
    time.sleep(seconds)
    receiver.listen_again()


def _failing(fault: Fault) -> MakeFault:
    def make(receiver: OtlpReceiver, seconds: float) -> None:
        with receiver.failing(fault):
            time.sleep(seconds)

    return make


def _flapping(flap_s: float) -> MakeFault:
    def make(receiver: OtlpReceiver, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            _absent(receiver, flap_s)
            time.sleep(flap_s)

    return make
