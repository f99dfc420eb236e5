"""Preparing the server of a worker, for every kind of service."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..request.loop_lag import LoopLag
    from ..request.socket_readiness import Arrivals
    from ..settings import MonitorSettings

_LOGGER = logging.getLogger("bento_monitor")


def log_disabled_hooks() -> None:
    """Log which hooks are disabled, and why."""
    from . import check_hooks

    disabled = [f"{status.name} ({status.reason})" for status in check_hooks() if not status.is_enabled]
    if disabled:
        _LOGGER.warning("Hooks disabled: %s", "; ".join(disabled))


def install_server_hooks(settings: MonitorSettings, loop_lag: LoopLag, arrivals: Arrivals) -> None:
    """Install the supported hooks into the server and clients of this worker, before the server starts."""
    from . import is_supported

    if settings.tracing and is_supported("read_stamp"):
        from .uvicorn.read_stamps import stamp_reads

        stamp_reads(loop_lag, arrivals)
    if is_supported("head_limits"):
        from ..request.limits import HeadLimits
        from .uvicorn.head_limits import limit_heads

        limits = HeadLimits(
            max_count=settings.max_header_count,
            max_bytes=settings.max_header_bytes,
            timeout_s=settings.head_timeout_s,
            max_waiting=settings.max_waiting_connections,
        )
        limit_heads(limits)
    if is_supported("joined_writes"):
        from .uvicorn.joined_writes import join_writes

        join_writes()
    if is_supported("sessions"):
        from .bentoml.sessions import keep_sessions

        keep_sessions()
    if is_supported("client_calls"):
        from .bentoml.client_calls import route_calls

        route_calls(notes=settings.tracing)


def request_id_hook() -> Callable[[int], None] | None:
    """Return the function that sets BentoML's request id to the id of our server span; None if it is unsupported."""
    from . import is_supported

    if not is_supported("request_id"):
        return None
    from .bentoml.app_factory import set_request_id

    return set_request_id
