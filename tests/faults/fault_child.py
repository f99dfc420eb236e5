"""The exit codes of the forked child of the faults' service."""

from __future__ import annotations

from enum import IntEnum


class ChildEnd(IntEnum):
    """Exit code by the fate of the child's spans."""

    EXPORTED = 0
    RAISED = 1
    NOT_IN_TIME = 2
    DROPPED = 3
    MISCOUNTED = 4
