"""Traces of tasks: the run of a task has its own root span, linked to the request that submitted it.

The function runs in the context of that request, whose ledger is already closed and gets no stamps from the task.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from random import getrandbits

from ..resilience.circuit_breaker import CircuitBreaker
from ..tracing.ledger.ledger import Ledger, current_ledger
from ..tracing.telemetry import Telemetry
from .entry import close_ledger


class TaskRuns:
    """Traces the tasks of one service."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._breaker = CircuitBreaker("Tracing of tasks")

    async def run(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run a task; trace it if the request that submitted it is traced."""
        submitted_by = current_ledger.get()
        ledger = None if submitted_by is None or self._breaker.is_open else _begin(name, submitted_by)
        if ledger is None:
            await work()
            return
        token = current_ledger.set(ledger)
        leave = self._telemetry.enter_request(ledger)
        try:
            await work()
        except BaseException as error:
            ledger.error_type = type(error).__qualname__
            raise
        finally:
            leave()
            current_ledger.reset(token)
            self._breaker.run(self._finish, ledger)

    def _finish(self, ledger: Ledger) -> None:
        close_ledger(ledger, time.monotonic_ns())
        self._telemetry.finish(ledger)


def note_task_status(status: int) -> None:
    """Record the status that the task would have answered with."""
    ledger = current_ledger.get()
    if ledger is not None and ledger.task is not None:
        ledger.status = status
        ledger.stamp_sent(is_last=True)


def _begin(name: str, submitted_by: Ledger) -> Ledger:
    ledger = Ledger(
        trace_id=getrandbits(128) or 1,
        parent_span_id=0,
        sampled=submitted_by.sampled,
        received_ns=time.monotonic_ns(),
    )
    ledger.task, ledger.context = name, submitted_by.context
    ledger.submitted_by = (submitted_by.trace_id, submitted_by.span_id)
    return ledger
