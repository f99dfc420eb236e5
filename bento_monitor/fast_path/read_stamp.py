"""Where the moment at which a request's first bytes were read is found in its ASGI scope."""

from typing import Final

READ_STAMP: Final = "bento_monitor.read_ns"  # monotonic nanoseconds
