"""Which API a call is made for: a release governs some of a service's APIs, and may not answer the others."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

from ..ledger.ledger import BatchRecord, Ledger

NO_API: Final = ""
"""What stands for the API of a request to something else: a mounted application, a task, a web socket."""

untraced_api: ContextVar[str | None] = ContextVar("bento_monitor_untraced_api", default=None)
"""The API of a request that no ledger is kept of."""


calling_api: ContextVar[str | None] = ContextVar("bento_monitor_calling_api", default=None)
"""In a request that the service makes of itself, the API for which it does."""


def current_api(work: BatchRecord | Ledger | None) -> str | None:
    """The API that a client has asked and that the caller works for, `work` being what `traced_work` gave.

    An API that another one calls works for that one, also where the service calls it as a client. None where it cannot
    be told, as in a thread of the user's.
    """
    calling = calling_api.get()
    if calling is not None:
        return calling
    if work is None:
        return untraced_api.get()
    return work.asked_api if isinstance(work, BatchRecord) else work.api or NO_API
