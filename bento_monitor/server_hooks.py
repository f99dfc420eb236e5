"""Readying the server of a worker, whatever kind of service it serves."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .fast_path.arrivals import Arrivals
    from .fast_path.loop_lag import LoopLag
    from .settings import MonitorSettings

_LOGGER = logging.getLogger("bento_monitor")


def say_what_steps_aside() -> None:
    """Log which hooks are not used, and why."""
    from .bentoml_hooks import check_hooks

    aside = [f"{status.name} ({status.reason})" for status in check_hooks() if not status.holds]
    if aside:
        _LOGGER.warning("Hooks into BentoML that are not used: %s", "; ".join(aside))


def ready_server(settings: MonitorSettings, loop_lag: LoopLag, arrivals: Arrivals) -> None:
    """Ready the server and the clients of this worker, before the server starts."""
    from .bentoml_hooks import holds

    if settings.tracing and holds("read_stamp"):
        from .bentoml_hooks.uvicorn_protocol import stamp_reads

        stamp_reads(loop_lag, arrivals)
    if holds("head_limits"):
        from .bentoml_hooks.uvicorn_limits import limit_heads
        from .fast_path.head_limits import HeadLimits

        limits = HeadLimits(
            max_count=settings.max_header_count,
            max_bytes=settings.max_header_bytes,
            timeout_s=settings.head_timeout_s,
            max_waiting=settings.max_waiting_connections,
        )
        limit_heads(limits)
    if holds("joined_writes"):
        from .bentoml_hooks.uvicorn_writes import join_writes

        join_writes()
    if holds("sessions"):
        from .bentoml_hooks.sessions import keep_sessions

        keep_sessions()
    if holds("client_calls"):
        from .bentoml_hooks.client_calls import route_calls

        route_calls(notes=settings.tracing)


def request_id_hook() -> Callable[[int], None] | None:
    """What makes BentoML's id of a request that of our server span, if it can be done."""
    from .bentoml_hooks import holds

    if not holds("request_id"):
        return None
    from .bentoml_hooks.app_factory import set_request_id

    return set_request_id
