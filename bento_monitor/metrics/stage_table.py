"""Computes the stages of many ledgers at once in numpy, with the rules of `tracing.ledger.stages`."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from ..tracing.ledger.ledger import Ledger

_STAMPS = (
    "received_ns",
    "first_read_ns",
    "entered_ns",
    "read_ns",
    "parsed_ns",
    "queued_ns",
    "taken_ns",
    "handed_ns",
    "started_ns",
    "ended_ns",
    "serialize_started_ns",
    "serialized_ns",
    "first_byte_ns",
    "sent_ns",
)
_read_stamps = attrgetter(*_STAMPS)


def stage_durations_s(ledgers: Sequence[Ledger]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute the stage durations of closed ledgers.

    Returns:
        Seconds per stage, shape (ledgers, stages), in the order of `conventions.STAGES`, NaN if a request did not
        reach the stage; and seconds per request, shape (ledgers,).
    """
    stamps = np.array([_read_stamps(ledger) for ledger in ledgers], dtype=np.int64)
    received, polled, entered, read, parsed, queued, taken, handed, started, ended, begun, serialized, first, sent = (
        stamps.T
    )
    zero = np.zeros_like(received)

    def unless(missing: NDArray[np.int64], start: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.where(missing != 0, start, zero)

    streams = (first != 0) & (first >= ended)
    begins_and_ends = (
        (unless(polled, received), polled),
        (unless(entered, polled), entered),
        (unless(read, entered), read),
        (unless(parsed, read), parsed),
        (unless(queued, np.where(parsed != 0, parsed, queued)), np.where(handed != 0, taken, started)),
        (unless(handed, taken), handed),
        (unless(started, handed), started),
        (started, ended),
        (unless(begun, ended), begun),
        (begun, serialized),
        (unless(first, serialized), first),
        (np.where(streams, first, zero), sent),
    )
    last = np.maximum(sent, received)
    reached = received
    columns = []
    for begin, end in begins_and_ends:
        is_reached = begin != 0
        start = np.minimum(np.maximum(begin, reached), last)
        stop = np.minimum(np.maximum(np.where(end != 0, end, last), start), last)
        columns.append(np.where(is_reached, (stop - start) / 1e9, np.nan))
        reached = np.where(is_reached, stop, reached)
    return np.stack(columns, axis=1), (last - received) / 1e9
