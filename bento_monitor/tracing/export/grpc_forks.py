"""Importing gRPC so that it leaves the children of user code's forks alone.

Unless a variable says no, gRPC's core starts its threads again in every child of a process that has used it, and there
they go on with what the parent had under way: of 2,300 children that did nothing with gRPC, 6 ended by SIGSEGV in such
a thread, and without them none of 1,600. gRPC for Python leaves its own half of that off unless it is asked, so that a
child can make no use of it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_VARIABLE = "GRPC_ENABLE_FORK_SUPPORT"


@contextmanager
def fork_handlers_off() -> Iterator[None]:
    """Around the import of gRPC and its first channel, when it reads the variable.

    Nothing is done where a person has set it, or where user code has imported gRPC before us.
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
