"""The interface of a worker that `Entry` needs; `WorkerMonitor` implements it."""

from __future__ import annotations

from typing import Protocol

from ..tracing.ledger.ledger import Ledger
from ..tracing.telemetry import Telemetry
from .loop_lag import LoopLag
from .socket_readiness import Arrivals


class RequestMonitor(Protocol):
    """Receives finished ledgers; started and stopped with the application."""

    telemetry: Telemetry
    is_tracing: bool
    in_flight: int
    loop_lag: LoopLag
    arrivals: Arrivals

    async def start(self) -> None:
        """Prepare for the first request."""
        ...

    async def stop(self) -> None:
        """Export all queued records."""
        ...

    def finish(self, ledger: Ledger) -> None:
        """Accept the ledger of a finished request."""
        ...

    def flush_metrics(self) -> None:
        """Update the metrics with all finished requests."""
        ...

    def freeze_heap(self) -> None:
        """Exclude all objects that exist now from garbage collection."""
        ...
