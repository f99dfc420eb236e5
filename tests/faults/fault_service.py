"""The service under faults: each response follows from its request, so that a changed one is detected."""

from __future__ import annotations

import os
import time
from typing import Any

import bentoml
from fault_child import ChildEnd
from opentelemetry import trace

from bento_monitor.tracing.telemetry import Telemetry

_WAIT_S = 10.0
_TRACER = trace.get_tracer("of the author")
# Attributes that user code may set on a span: NaN, values that are not attributes, and huge texts.
ODD_ATTRIBUTES: dict[str, Any] = {
    "nan": float("nan"),
    "infinite": float("inf"),
    "over 64 bits": 2**70,
    "half a pair": "\ud800",
    "bytes": b"\xff\xfe",
    "an object": object(),
    "mixed": [1, "a", None],
    "long": "x" * 10_000_000,
    "many long": ["x" * 1_000_000] * 10,
    "plain": 1,
}
# Objects of this process; a forked child has its copy.
_made: list[Telemetry] = []
_make = Telemetry.__init__


def _note(self: Telemetry, *args: object, **kwargs: object) -> None:
    _make(self, *args, **kwargs)  # type: ignore[arg-type]
    _made.append(self)


Telemetry.__init__ = _note  # type: ignore[method-assign]


@bentoml.service(threads=4)
class Faulted:
    @bentoml.api
    async def echo(self, x: int) -> int:
        return x + 1

    @bentoml.api(batchable=True)
    def batched(self, xs: list[int]) -> list[int]:
        return [x + 1 for x in xs]

    @bentoml.api
    async def pid(self) -> int:
        return os.getpid()

    @bentoml.api
    def odd(self, x: int) -> int:
        """Make a span with attributes that no exporter supports."""
        with _TRACER.start_as_current_span("odd") as span:
            for name, value in ODD_ATTRIBUTES.items():
                span.set_attribute(name, value)
        return x + 1

    @bentoml.api
    def fork(self, x: int) -> int:
        """Fork, as user code may. The child traces requests, exports them and exits; return its exit code."""
        child = os.fork()
        if child == 0:
            code = ChildEnd.RAISED
            try:
                code = _trace_in_child(x)
            finally:
                os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _trace_in_child(count: int) -> ChildEnd:
    telemetry = _made[-1]
    for _ in range(count):
        ledger = telemetry.start_ledger([], time.monotonic_ns(), "GET", "/in_child")
        telemetry.finish(ledger)
    is_flushed = telemetry.flush(_WAIT_S)
    telemetry.shutdown(_WAIT_S)
    exporter = telemetry.stats().exporters[0]
    if not is_flushed:
        return ChildEnd.NOT_IN_TIME
    return {exporter.exported: ChildEnd.EXPORTED, exporter.dropped: ChildEnd.DROPPED}.get(count, ChildEnd.MISCOUNTED)
