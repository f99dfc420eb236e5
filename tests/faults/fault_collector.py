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
    """Durations, the rate, and limits scaled to them; None leaves the default.

    Args:
        before_s: load without a fault, before the fault and again after it.
        fault_s: length of the fault.
        flap_s: how long a flapping collector stays away, and how long it stays.
        timeout_s: timeout of one export, with its retries.
    """

    before_s: float
    fault_s: float
    rate_rps: float
    flap_s: float = 2.0
    timeout_s: float = 10.0
    queue_size: int | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The limits as environment variables of a server."""
        queue = {} if self.queue_size is None else {"BENTO_MONITOR_TRACE_QUEUE_SIZE": str(self.queue_size)}
        return {"OTEL_EXPORTER_OTLP_TIMEOUT": f"{self.timeout_s:g}", **queue}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a collector's fault. Times are from `time.monotonic()`.

    `attempts` counts exports tried during the fault; `resumed_s` is the time from its end to the next accepted export.
    `received` counts all received spans, `duplicates` the repeated ones; `reports` are those after the stop.
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
        """Return the maximum of a figure during and after the fault minus its maximum before."""
        before = [getattr(each, of) for each in self.watch.readings if each.at_s < self.fault_begin_s]
        since = [getattr(each, of) for each in self.watch.readings if each.at_s >= self.fault_begin_s]
        return float(max(since) - max(before))


def collector_faults(lengths: Lengths) -> Mapping[str, tuple[Protocol, MakeFault]]:
    """Return every row: its protocol, and a function that causes the fault for a number of seconds."""
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
    """Serve under load before, during and after the fault, and shut down cleanly."""
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
