"""An application whose worker is watched while it is profiled."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from .probe import Probe

Application = Callable[[Any, Any, Any], Awaitable[None]]


def observed(application: Application, folder: Path) -> Application:
    """The same application; a probe starts with it, on its loop.

    A request passes through one more call, which reads the clock twice: about a microsecond.
    """
    probe = Probe(folder)

    async def start_and_serve(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            probe.start()
        begun_ns = time.monotonic_ns()
        try:
            await application(scope, receive, send)
        finally:
            if scope["type"] == "http":
                probe.served(scope["path"], time.monotonic_ns() - begun_ns)

    return start_and_serve
