"""What the entry needs of the worker that it serves requests in; `WorkerMonitor` has it."""

from __future__ import annotations

from typing import Protocol

from ..tracing.ledger.ledger import Ledger
from ..tracing.telemetry import Telemetry
from .loop_lag import LoopLag
from .socket_readiness import Arrivals


class RequestMonitor(Protocol):
    """Where finished ledgers go; started and stopped with the application."""

    telemetry: Telemetry
    is_tracing: bool
    in_flight: int
    loop_lag: LoopLag
    arrivals: Arrivals

    async def start(self) -> None:
        """Get ready for the first request."""
        ...

    async def stop(self) -> None:
        """Hand over what is queued."""
        ...

    def finish(self, ledger: Ledger) -> None:
        """Take a finished request."""
        ...

    def flush_metrics(self) -> None:
        """Count every request that has finished."""
        ...

    def freeze_heap(self) -> None:
        """Keep the garbage collector from walking what the service has made by now."""
        ...
