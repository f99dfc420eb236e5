"""The API for which a model is called: a release governs some of a service's APIs, and must not answer others."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

from ..ledger.ledger import BatchRecord, Ledger

NO_API: Final = ""
"""The value for requests that have no API: to a mounted application, a task or a web socket."""

untraced_api: ContextVar[str | None] = ContextVar("bento_monitor_untraced_api", default=None)
"""The API of a request without a ledger."""


calling_api: ContextVar[str | None] = ContextVar("bento_monitor_calling_api", default=None)
"""In a request that the service sends to itself: the API that sent it."""


def current_api(work: BatchRecord | Ledger | None) -> str | None:
    """Return the API that the client has called; `work` is the result of `traced_work`.

    If one API calls another, also if the service calls itself as a client, this is the calling API. It is None if it
    is unknown, as in a thread of the user.
    """
    calling = calling_api.get()
    if calling is not None:
        return calling
    if work is None:
        return untraced_api.get()
    return work.asked_api if isinstance(work, BatchRecord) else work.api or NO_API
