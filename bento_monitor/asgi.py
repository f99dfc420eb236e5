"""Types for ASGI, and the keys that this package adds to the scope of a request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Scope = MutableMapping[str, Any]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

# A tuple about the request's first bytes, in nanoseconds: when they were seen to be ready and when they were read, on
# the monotonic clock, and for how long the event loop had been busy before it read them.
READ_STAMPS: Final = "bento_monitor.read_ns"
# The request's ledger. Not taken from the context: calls made by the user's code may run in the same context.
LEDGER: Final = "bento_monitor.ledger"
