"""What is ours in the ASGI scope of a request."""

from typing import Final

# The moment at which its first bytes were read, in monotonic nanoseconds.
READ_STAMP: Final = "bento_monitor.read_ns"
# How long the loop was busy before that, in nanoseconds.
LOOP_LAG: Final = "bento_monitor.loop_lag_ns"
# Its ledger. Not the context's: what the user's code calls in turn may run in the same context.
LEDGER: Final = "bento_monitor.ledger"
