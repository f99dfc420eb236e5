"""Callers that force traces, and far too many or too large tracing headers."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fault_load import Answers, checked_loads
from fault_server import Reply, ask, monitor_home, server_spec
from fault_spans import sent_spans
from fault_watch import Watch, watched

from bento_monitor.lab.server.process import start_server
from bento_monitor.testing import OtlpReceiver
from bento_monitor.tracing.context.propagation import start_ledger
from bento_monitor.tracing.exporters import make_sampler

Headers = Sequence[tuple[str, str]]
_RATE_PER_S, _BURST = 20, 50


@dataclass(frozen=True, slots=True)
class FloodOutcome:
    """The outcome of a flood of sampled requests: `traced` of them in `seconds`, at most `allowed`."""

    answers: Answers
    watch: Watch
    seconds: float
    traced: int

    @property
    def allowed(self) -> float:
        """The burst plus the rate times the duration of the flood."""
        return _BURST + _RATE_PER_S * self.seconds


def run_flood(seconds: float, rate_rps: float, home: Path) -> FloodOutcome:
    """Send requests that all force a trace, at many times the limit."""
    limits = {
        "BENTO_MONITOR_TRACE_RATE_LIMIT": str(_RATE_PER_S),
        "BENTO_MONITOR_TRACE_RATE_BURST": str(_BURST),
        "BENTO_MONITOR_TRACE_TAIL_SAMPLING": "",  # it has its own limit
    }
    header = ("traceparent", f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01")
    with OtlpReceiver() as receiver:
        with start_server(server_spec(home, receiver, limits)) as server, watched(monitor_home(home)) as watch:
            begun_s = time.monotonic()
            with checked_loads(server.port, rate_rps, headers=(header,)) as loads:
                time.sleep(seconds)
                answers = loads.stop()
            took_s = time.monotonic() - begun_s
        traced = sum(span.name.startswith("POST ") for span in sent_spans(receiver))
    return FloodOutcome(answers, watch, took_s, traced)


def heavy_headers() -> dict[str, tuple[Headers, int]]:
    """Return heavy headers of a request and the status of the response, by a description."""
    parent = ("traceparent", f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01")
    large = ",".join(f"vendor{index}={'x' * 200}" for index in range(250))
    return {
        "900 baggage headers": ([parent, *(("baggage", f"key{index}=value") for index in range(900))], 200),
        # Over the limit of headers (BENTO_MONITOR_MAX_HEADER_COUNT), whatever they are for.
        "1001 baggage headers": ([parent, *(("baggage", f"key{index}=value") for index in range(1001))], 431),
        "a tracestate of 52 KB": ([parent, ("tracestate", large)], 200),
        "500 tracestates": ([parent, *(("tracestate", f"vendor{index}=x") for index in range(500))], 200),
        "a tracestate of one entry of 60 KB": ([parent, ("tracestate", f"vendor={'x' * 60_000}")], 200),
        "a baggage of 60 KB": ([parent, ("baggage", f"key={'x' * 60_000}")], 200),
        "a traceparent of 60 KB": ([("traceparent", parent[1] + "0" * 60_000)], 200),
    }


def run_heavy_headers(home: Path) -> dict[str, Reply]:
    """Return one server's response to a request with each of the heavy headers."""
    with OtlpReceiver() as receiver, start_server(server_spec(home, receiver)) as server:
        return {name: ask(server.port, "/echo", b'{"x": 1}', headers) for name, (headers, _) in heavy_headers().items()}


def parse_cost_us(headers: Headers, repetitions: int = 200) -> float:
    """Return the median time, in microseconds, to start the trace of a request with the headers."""
    raw = [(name.encode(), value.encode()) for name, value in headers]
    sampler = make_sampler()
    took_ns = []
    for _ in range(repetitions):
        begun_ns = time.perf_counter_ns()
        start_ledger(raw, begun_ns, sampler, "POST", "/echo")
        took_ns.append(time.perf_counter_ns() - begun_ns)
    return sorted(took_ns)[repetitions // 2] / 1e3
