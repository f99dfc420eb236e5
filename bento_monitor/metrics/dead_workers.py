"""Gauges of workers that were killed: what they last showed would else be summed with what the living ones show."""

from __future__ import annotations

import logging
from collections.abc import Iterable

_LOGGER = logging.getLogger("bento_monitor")


def forget_gauges(pids: Iterable[int]) -> None:
    """Remove the live gauges of processes that are dead, where several processes show their metrics together.

    Never raises: metrics are not worth a worker's start.
    """
    try:
        from prometheus_client.multiprocess import mark_process_dead

        for pid in pids:
            mark_process_dead(pid)  # type: ignore[no-untyped-call]
    except Exception as error:  # there is no folder that several share
        _LOGGER.debug("Gauges of dead workers stay: %s", error)
