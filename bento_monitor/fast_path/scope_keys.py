"""What is ours in the ASGI scope of a request."""

from typing import Final

# Of its first bytes, in nanoseconds: when they were seen to be ready and when they were read, on the monotonic clock,
# and for how long the loop had been busy before it read them.
READ_STAMPS: Final = "bento_monitor.read_ns"
# Its ledger. Not the context's: what the user's code calls in turn may run in the same context.
LEDGER: Final = "bento_monitor.ledger"
