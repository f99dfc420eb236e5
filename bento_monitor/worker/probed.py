"""An application with a probe in its worker, for profiling."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ..integrations.bentoml.io_stamps import stamp_descriptors
from ..tracing.ledger.ledger import Ledger, current_ledger
from .probe import Probe

Application = Callable[[Any, Any, Any], Awaitable[None]]
_CALLS = 2_000
_SCOPE = {"type": "http", "path": "/"}


def with_probe(application: Application, folder: Path) -> Application:
    """Wrap an application so that a probe starts with it, on its event loop. The notes include the cost per request."""
    probe = Probe(folder)
    watched = _watched(application, probe)

    async def start_and_serve(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            probe.start(measure_cost_us(folder))
        await watched(scope, receive, send)

    return start_and_serve


def _watched(application: Application, probe: Probe) -> Application:
    async def serve(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await application(scope, receive, send)
            return
        # BentoML's own application stamps this ledger through its descriptors; `Entry` creates another one.
        ledger = Ledger(trace_id=0, parent_span_id=0, sampled=False, received_ns=time.monotonic_ns())
        current_ledger.set(ledger)
        try:
            await application(scope, receive, send)
        finally:
            ledger.sent_ns = time.monotonic_ns()
            probe.served(scope["path"], ledger)

    return serve


def measure_cost_us(folder: Path) -> float:
    """Measure the cost of the probe per request, with an application that does nothing, with and without the probe."""

    class Descriptor:
        @classmethod
        async def from_http_request(cls, *_: Any) -> None:
            pass

        @classmethod
        async def to_http_response(cls, *_: Any) -> None:
            pass

    async def application(*_: Any) -> None:
        await Descriptor.from_http_request(None, None)
        await Descriptor.to_http_response(None, None)

    without_us = _time_us(application)
    stamp_descriptors(SimpleNamespace(input_spec=Descriptor, output_spec=Descriptor))
    return max(_time_us(_watched(application, Probe(folder))) - without_us, 0.0)


def _time_us(application: Application) -> float:
    begun_ns = time.monotonic_ns()
    for _ in range(_CALLS):
        _run(application(_SCOPE, None, None))
    return (time.monotonic_ns() - begun_ns) / _CALLS / 1e3


def _run(coroutine: Any) -> None:
    """Run a coroutine that never waits, without an event loop."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
