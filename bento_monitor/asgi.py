"""ASGI's types as this package uses them, and the keys of its own in the scope of a request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Scope = MutableMapping[str, Any]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

# Of its first bytes, in nanoseconds: when they were seen to be ready and when they were read, on the monotonic clock,
# and for how long the loop had been busy before it read them.
READ_STAMPS: Final = "bento_monitor.read_ns"
# Its ledger. Not the context's: what the user's code calls in turn may run in the same context.
LEDGER: Final = "bento_monitor.ledger"
