"""How the forked child of the faults' service ends."""

from __future__ import annotations

from enum import IntEnum


class ChildEnd(IntEnum):
    """Its exit code, by what became of its spans."""

    EXPORTED = 0
    RAISED = 1
    NOT_IN_TIME = 2
    DROPPED = 3
    MISCOUNTED = 4
