"""Removes the gauges of killed workers, which would otherwise be summed with those of live workers."""

from __future__ import annotations

import logging
from collections.abc import Iterable

_LOGGER = logging.getLogger("bento_monitor")


def remove_dead_gauges(pids: Iterable[int]) -> None:
    """Remove the live gauges of dead processes from the directory that several processes share.

    Never raises: a failure here must not stop the start of a worker.
    """
    try:
        from prometheus_client.multiprocess import mark_process_dead

        for pid in pids:
            mark_process_dead(pid)  # type: ignore[no-untyped-call]
    except Exception as error:  # for example without a shared directory
        _LOGGER.debug("The gauges of dead workers cannot be removed: %s", error)
