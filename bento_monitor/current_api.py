"""Which API a call is made for: a release governs some of a service's APIs, and may not answer the others."""

from __future__ import annotations

from contextvars import ContextVar

from .tracing.ledger import BatchRecord, Ledger

untraced_api: ContextVar[str | None] = ContextVar("bento_monitor_untraced_api", default=None)
"""The API of a request that no ledger is kept of."""


def current_api(work: BatchRecord | Ledger | None) -> str | None:
    """The API that the caller works for, `work` being what `traced_work` gave; None where that cannot be told."""
    return untraced_api.get() if work is None else work.api
